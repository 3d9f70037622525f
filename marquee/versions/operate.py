"""Add a version beside the others, take one out of service, change how many workers it has."""

from __future__ import annotations

import time
from collections.abc import Callable

from marquee.archives import trust
from marquee.archives.golden import requests_of
from marquee.errors import MarqueeError
from marquee.interrupts import ignored, pause, raised, until
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version
from marquee.versions import drain, history, journal
from marquee.versions.answered import Workers
from marquee.versions.canaries import check_none
from marquee.versions.candidate import Candidate, find
from marquee.versions.history import Record, StepListener, Steps, silent
from marquee.versions.judgement import DEFAULT_POLICY, SwapPolicy
from marquee.versions.probe import check
from marquee.versions.traffic import AccessLog

# A version that clients name by its number is noticed if they ask at least this often.
PINNED_SECONDS = 2.0
# A version counts as idle when nothing came and nothing waited for so long.
IDLE_SECONDS = 2.0
POLL_SECONDS = 0.2


def register(
    project: Project,
    target: str,
    policy: SwapPolicy = DEFAULT_POLICY,
    listener: StepListener = silent,
) -> Record:
    """Register an archive beside the versions that serve, and ask it its golden requests.

    The first version of a model becomes its default, others do not.

    Returns:
        The record that the history got.

    Raises:
        MarqueeError: it is registered already, does not load, or answers wrongly; then it is
            unregistered again.
    """
    with raised(), Management.of(project) as api:
        candidate = find(project, None, target)
        try:
            with journal.locked(project, candidate.name):
                return add(project, api, candidate, policy, Steps(listener))
        except (MarqueeError, KeyboardInterrupt):
            candidate.discard()
            raise


def add(
    project: Project, api: Management, candidate: Candidate, policy: SwapPolicy, steps: Steps
) -> Record:
    """Do as :func:`register` does, for who holds the model already."""
    name, version, archive = candidate.name, candidate.version, candidate.archive
    if api.describe(name, version) is not None:
        raise MarqueeError(
            f"{name} {version} is registered already; let it serve: marquee swap {name} {version}"
        )
    trust.admit(project, archive)
    loaded = proved(
        project,
        api,
        candidate,
        policy,
        steps,
        begin=lambda: api.register(archive.name),
        undo=lambda: api.unregister(name, version),
    )
    record: Record = {"model": name, "action": "register", "to": version, "archive": archive.name}
    about: Record = {"digest": candidate.digest, "workers": loaded.loaded}
    return _append(project, steps, {**record, **about})


def proved(
    project: Project,
    api: Management,
    new: Candidate,
    policy: SwapPolicy,
    steps: Steps,
    *,
    begin: Callable[[], None],
    undo: Callable[[], None],
) -> Version:
    """Have a version's workers load, and ask it its golden requests before anybody else asks it."""
    name, version, since = new.name, new.version, LogMarks.now(project)
    try:
        with steps.step("load") as step:
            begin()
            loaded = wait_loaded(
                project, api, name, version, since=since, seconds=policy.load_seconds
            )
            step["said"] = f"{name} {version} has {loaded.loaded} worker(s) ready"
        with steps.step("check") as step:
            requests = requests_of(new.archive)
            step["said"] = check(project, name, version, requests, policy.answer_seconds)
    except (MarqueeError, KeyboardInterrupt):
        with ignored():
            undo()
        raise
    return loaded


def retire(project: Project, name: str, version: str, listener: StepListener = silent) -> Record:
    """Drain a version and take its workers; it stays registered, for a way back.

    Raises:
        MarqueeError: it is the default or a canary, there is no such version, or clients ask
            for it.
    """
    with raised(), journal.locked(project, name), Management.of(project) as api:
        _check_settled(project, name)
        check_none(project, name, version)
        described = api.known(name, version)
        if api.default(name) == version:
            raise MarqueeError(
                f"{name} {version} is the version that serves; let another serve first: "
                f"marquee swap {name} VERSION"
            )
        steps = Steps(listener)
        with steps.step("drain") as step:
            log = AccessLog(project, name)
            pause(PINNED_SECONDS)
            drain.drain(project, api, described, log)
            step["said"] = f"{name} {version} has nothing left to do"
        with steps.step("retire") as step:
            drain.remove_workers(api, name, version)
            step["said"] = f"its {described.min_workers} worker(s) ended"
        record: Record = {"model": name, "action": "retire", "from": version}
        return _append(project, steps, {**record, "from_workers": described.min_workers})


def scale(
    project: Project,
    name: str,
    workers: int,
    version: str | None = None,
    *,
    force: bool = False,
    wait_seconds: float = 60.0,
    load_seconds: float = DEFAULT_POLICY.load_seconds,
    listener: StepListener = silent,
) -> Record:
    """Set how many workers a version (by default the one that serves) has.

    More: returns when they have loaded; if they do not, the number before is set again. Fewer:
    TorchServe ends workers with what they hold and cannot drain one of them, so this waits for
    a moment in which none comes and none is in a worker's hands. A request that comes in that
    very moment may still be lost. A Ray server drains each worker that ends, and is told at once.

    Raises:
        MarqueeError: no such version; the new workers do not load; it was never idle, or that
            cannot be known.
    """
    with raised(), journal.locked(project, name), Management.of(project) as api:
        _check_settled(project, name)
        described = api.known(name, version)
        if workers == 0 and described.version == api.default(name) and not force:
            raise MarqueeError(
                f"without workers every request to {name} would be answered with 503; "
                "--force does it all the same"
            )
        steps = Steps(listener)
        with steps.step("scale") as step:
            if workers < described.min_workers:
                if not (force or described.drains):
                    _wait_idle(project, api, described, wait_seconds)
                api.scale(name, described.version, workers)
            else:
                _scale_up(project, api, described, workers, load_seconds)
            step["said"] = (
                f"{name} {described.version}: {described.min_workers} -> {workers} worker(s)"
            )
        record: Record = {"model": name, "action": "scale", "to": described.version}
        about: Record = {"workers": workers, "workers_before": described.min_workers}
        return _append(project, steps, {**record, **about})


def _scale_up(
    project: Project, api: Management, version: Version, workers: int, seconds: float
) -> None:
    since = LogMarks.now(project)
    api.scale(version.name, version.version, workers)
    try:
        wait_loaded(project, api, version.name, version.version, since=since, seconds=seconds)
    except (MarqueeError, KeyboardInterrupt):
        with ignored():
            # Those that did not load hold nothing; TorchServe ends the newest first.
            api.scale(version.name, version.version, version.min_workers)
        raise


def _wait_idle(project: Project, api: Management, version: Version, seconds: float) -> None:
    """Return after a while without any request for the version, when its workers hold none."""
    workers = Workers(project, api, version)
    deadline = time.monotonic() + seconds

    def is_idle() -> bool:
        log = AccessLog(project, version.name)
        quiet = _quiet(api, version, log, IDLE_SECONDS)
        return quiet and workers.idle(deadline) and _quiet(api, version, log, 0)

    if not until(is_idle, seconds):
        raise MarqueeError(
            f"{version.name} {version.version} was not without requests for {IDLE_SECONDS:.0f} s "
            f"within {seconds:.0f} s. Each worker that ends fails the requests it holds, up "
            f"to {version.batch_size}; wait for a quieter hour (--wait), swap to another "
            "version meanwhile, or use --force"
        )


def _quiet(api: Management, version: Version, log: AccessLog, seconds: float) -> bool:
    """Whether nothing comes for the version and nothing waits, since the log is read."""

    def is_asked() -> bool:
        now, stats = api.describe(version.name, version.version), log.stats()
        return bool((now and now.pending) or stats.requests or stats.pinned)

    return not until(is_asked, seconds, POLL_SECONDS)


def _check_settled(project: Project, name: str) -> None:
    plan = journal.unfinished(project, name)
    if plan is not None:
        raise MarqueeError(
            f"a {plan.action} of {name} to {plan.new} was killed and is not put right yet; run it "
            f"again, or: marquee swap {name} {plan.new}"
        )


def _append(project: Project, steps: Steps, record: Record) -> Record:
    return history.append(
        project, {**record, "outcome": history.DONE, "reason": "", "steps": steps.done}
    )
