"""Wait until nothing of a version's requests is left, and take its workers away."""

from __future__ import annotations

from marquee.errors import MarqueeError
from marquee.interrupts import pause, until
from marquee.project import Project
from marquee.torchserve.management import Management, Version
from marquee.versions.answered import Workers
from marquee.versions.traffic import AccessLog, RequestStats

POLL_SECONDS = 0.2
# A request's way from the socket to the queue, and from the queue to a worker.
GRACE_SECONDS = 0.5
GONE_SECONDS = 30.0
# How often requests may turn up in the queue again.
ROUNDS = 3


def drain(project: Project, api: Management, version: Version, log: AccessLog) -> None:
    """Return when no request is left in a version's queue or in its workers' hands.

    The default must be another version by now, and clients must not name this one. What waits
    is counted by TorchServe; see :mod:`marquee.versions.answered` for what a worker holds. On Ray
    workers drain themselves when they are taken away, and :func:`remove_workers` waits for that.

    Args:
        version: to drain, as it was described last.
        log: since when who asks for this version by name is heeded.

    Raises:
        MarqueeError: it took longer than the version's responseTimeout; clients still ask for
            this version by name; or it cannot be known what its workers hold.
    """
    pause(GRACE_SECONDS)
    if version.drains:  # what is in its workers' hands is answered before they end
        _check_pinned(version, log.stats())
        return
    workers = Workers(project, api, version)
    _wait_queue(api, version, workers.longest_seconds)
    for _ in range(ROUNDS):
        _check_pinned(version, log.stats())
        workers.wait()
        # What a worker that ended had not begun waits again.
        if not _wait_queue(api, version, workers.longest_seconds):
            break
    else:
        raise _late(version, "came again and again")
    _check_pinned(version, log.stats())


def _check_pinned(version: Version, stats: RequestStats) -> None:
    pinned = stats.pinned.get(version.version, 0)
    if pinned:
        raise MarqueeError(
            f"{pinned} requests came for {version.name} {version.version} by its number while it "
            "was drained; let those clients ask without a version, then: "
            f"marquee retire {version.name} {version.version}"
        )


def _wait_queue(api: Management, version: Version, seconds: float) -> bool:
    """Return when the queue was empty twice in a row; whether anything waited there."""
    pending: list[int] = []

    def is_empty() -> bool:
        described = api.describe(version.name, version.version)
        pending.append(described.pending if described else 0)
        return pending[-2:] == [0, 0]

    if not until(is_empty, seconds, POLL_SECONDS):
        raise _late(version, f"still wait after {seconds:.0f} s ({pending[-1]})")
    return any(pending)


def _late(version: Version, how: str) -> MarqueeError:
    name, number = version.name, version.version
    return MarqueeError(
        f"requests for {name} {number} {how}; it keeps its workers. Later: marquee retire "
        f"{name} {number}"
    )


def remove_workers(api: Management, name: str, version: str) -> None:
    """Scale a drained version to zero, and wait until its workers are gone.

    Not unregistered: ``/invocations`` would stop to work, and a rollback finds it again.
    """
    before = api.describe(name, version)
    seconds = GONE_SECONDS + (before.response_timeout if before and before.drains else 0)
    api.scale(name, version, 0)

    def left() -> int:
        described = api.describe(name, version)
        return len(described.workers) if described else 0

    if not until(lambda: left() == 0, seconds, POLL_SECONDS):
        raise MarqueeError(
            f"{name} {version} still has {left()} workers {seconds:.0f} s after it was told to "
            "end them; see logs/ts_log.log"
        )
