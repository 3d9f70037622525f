"""Wait until nothing of a version's requests is left, and take its workers away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Thread

from marquee.errors import MarqueeError
from marquee.interrupts import pause
from marquee.project import Project
from marquee.serving.management import Management, Version
from marquee.swapping.probe import Inference, Question
from marquee.swapping.traffic import AccessLog

POLL_SECONDS = 0.2
ANSWER_POLL_SECONDS = 0.05
# A request's way from the socket to the queue, and from the queue to a worker.
GRACE_SECONDS = 0.5
# Beyond responseTimeout: TorchServe has ended a worker by then that does not answer.
SPARE_SECONDS = 10.0
GONE_SECONDS = 30.0


def drain(
    project: Project, api: Management, version: Version, asked: Sequence[Question], *, since: int
) -> None:
    """Return when no request is left in a version's queue or in its workers' hands.

    The default must be another version by now, and clients must not name this one. What waits
    is counted by TorchServe; what a worker holds is not, so each worker is sent a last request,
    which it answers only after those before it. With several workers it is not known which of
    them answers, so the slowest answer that clients met is waited out besides.

    Args:
        project, api: the server.
        version: to drain, as it was described last.
        asked: requests that it understands.
        since: a mark of the access log; who asks for this version by name after it is heeded.

    Raises:
        MarqueeError: it took longer than the version's responseTimeout; or clients still ask
            for this version by name.
    """
    deadline = time.monotonic() + version.response_timeout + SPARE_SECONDS
    log = AccessLog.of(project, version.name)
    _wait_queue(api, version, deadline)
    slowest = log.last(version.response_timeout).slowest_seconds
    pinned = log.follow(since).seen().pinned.get(version.version, 0)
    if pinned:
        raise MarqueeError(
            f"{pinned} requests came for {version.name} {version.version} by its number while it "
            "was drained; let those clients ask without a version, then: "
            f"marquee retire {version.name} {version.version}"
        )
    _last_requests(project, version, asked)
    alone = version.loaded <= 1 and asked
    pause(GRACE_SECONDS if alone else min(slowest * 1.5 + 1, version.response_timeout))
    _wait_queue(api, version, deadline)


def _wait_queue(api: Management, version: Version, deadline: float) -> None:
    """Return when the queue was empty twice in a row."""
    empty = 0
    while empty < 2:
        found = api.describe(version.name, version.version)
        pending = found.pending if found else 0
        empty = empty + 1 if pending == 0 else 0
        if time.monotonic() > deadline:
            raise MarqueeError(
                f"{pending} requests still wait for {version.name} {version.version} after "
                f"{version.response_timeout} s; it keeps its workers. Later: marquee retire "
                f"{version.name} {version.version}"
            )
        pause(POLL_SECONDS)


def _last_requests(project: Project, version: Version, asked: Sequence[Question]) -> None:
    """Send each worker a request and wait for the answers, whatever they say."""
    if not asked or version.loaded == 0:
        return
    limit = version.response_timeout + SPARE_SECONDS
    with Inference(project, version.name, limit) as inference:
        threads = [
            Thread(target=inference.answered, args=(asked[0], version.version), daemon=True)
            for _ in range(version.loaded)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            pause(ANSWER_POLL_SECONDS)


def remove_workers(api: Management, name: str, version: str) -> None:
    """Scale a drained version to zero, and wait until its workers are gone.

    Not unregistered: ``/invocations`` would stop to work, and a rollback finds it again.
    """
    api.scale(name, version, 0)
    deadline = time.monotonic() + GONE_SECONDS
    while (found := api.describe(name, version)) is not None and found.workers:
        if time.monotonic() > deadline:
            raise MarqueeError(
                f"{name} {version} still has {len(found.workers)} workers {GONE_SECONDS:.0f} s "
                "after it was told to end them; see logs/ts_log.log"
            )
        pause(POLL_SECONDS)
