"""Add a version beside the others, take one out of service, change how many workers it has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from marquee.archives.example import requests_of
from marquee.errors import MarqueeError
from marquee.interrupts import ignored, pause, raised
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version
from marquee.versions import drain, history, journal
from marquee.versions.answered import Workers
from marquee.versions.canaries import check_none
from marquee.versions.candidate import Candidate, find
from marquee.versions.judgement import DEFAULT_OPTIONS, Options
from marquee.versions.manner import Manner
from marquee.versions.probe import Probe, told
from marquee.versions.steps import Report, Steps, silent
from marquee.versions.traffic import AccessLog, Follower

# A version that clients name by its number is noticed if they ask at least this often.
PINNED_SECONDS = 2.0
# A version counts as idle when nothing came and nothing waited for so long.
IDLE_SECONDS = 2.0
POLL_SECONDS = 0.2


def register(
    project: Project, target: str, options: Options = DEFAULT_OPTIONS, report: Report = silent
) -> dict[str, Any]:
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
                return _register(project, api, candidate, options=options, steps=Steps(report))
        except (MarqueeError, KeyboardInterrupt):
            candidate.discard()
            raise


def _register(
    project: Project, api: Management, candidate: Candidate, *, options: Options, steps: Steps
) -> dict[str, Any]:
    name, version, archive = candidate.name, candidate.version, candidate.archive
    if api.describe(name, version) is not None:
        raise MarqueeError(
            f"{name} {version} is registered already; let it serve: marquee swap {name} {version}"
        )
    since = LogMarks.now(project)
    try:
        with steps.step("load") as note:
            api.register(archive.name)
            found = wait_loaded(
                project, api, name, version, since=since, seconds=options.load_seconds
            )
            note["said"] = f"{name} {version} has {found.loaded} worker(s) ready"
        with steps.step("check") as note:
            asked = requests_of(archive)
            with Probe(project, name, options.answer_seconds) as probe:
                for question in asked:
                    probe.ask(question, version)
            note["said"] = told(asked)
    except (MarqueeError, KeyboardInterrupt):
        with ignored():
            _unregister(api, name, version)
        raise
    about = {"model": name, "to": version, "archive": archive.name, "digest": candidate.digest}
    return _record(project, "register", steps, about | {"workers": found.loaded})


def _unregister(api: Management, name: str, version: str) -> None:
    """Remove a version that no client has asked; the sole one is the default of its model."""
    if api.describe(name, version) is not None:
        api.unregister(name, version)


def retire(project: Project, name: str, version: str, report: Report = silent) -> dict[str, Any]:
    """Drain a version and take its workers; it stays registered, for a way back.

    Raises:
        MarqueeError: it is the default or a canary, there is no such version, or clients ask
            for it.
    """
    with raised(), journal.locked(project, name), Management.of(project) as api:
        _check_settled(project, name)
        check_none(project, name, version)
        found = _known(api, name, version)
        if api.default(name) == version:
            raise MarqueeError(
                f"{name} {version} is the version that serves; let another serve first: "
                f"marquee swap {name} VERSION"
            )
        steps = Steps(report)
        with steps.step("drain") as note:
            mark = AccessLog.of(project, name).mark()
            pause(PINNED_SECONDS)
            manner = Manner.of(project.model_store, found)
            drain.drain(project, api, found, manner, since=mark)
            note["said"] = f"{name} {version} has nothing left to do"
        with steps.step("retire") as note:
            drain.remove_workers(api, name, version)
            note["said"] = f"its {found.min_workers} worker(s) ended"
        about = {"model": name, "from": version, "from_workers": found.min_workers}
        return _record(project, "retire", steps, about)


def scale(
    project: Project,
    name: str,
    workers: int,
    version: str | None = None,
    *,
    force: bool = False,
    wait_seconds: float = 60.0,
    load_seconds: float = DEFAULT_OPTIONS.load_seconds,
    report: Report = silent,
) -> dict[str, Any]:
    """Set how many workers a version (by default the one that serves) has.

    More: returns when they have loaded; if they do not, the number before is set again. Fewer:
    TorchServe ends workers with what they hold and cannot drain one of them, so this waits for
    a moment in which none comes and none is in a worker's hands. A request that comes in that
    very moment may still be lost.

    Raises:
        MarqueeError: no such version; the new workers do not load; it was never idle, or that
            cannot be known.
    """
    with raised(), journal.locked(project, name), Management.of(project) as api:
        _check_settled(project, name)
        default = api.default(name)
        found = _known(api, name, version or default or "")
        if workers == 0 and found.version == default and not force:
            raise MarqueeError(
                f"without workers every request to {name} would be answered with 503; "
                "--force does it all the same"
            )
        steps = Steps(report)
        with steps.step("scale") as note:
            if workers < found.min_workers:
                if not force:
                    _wait_idle(project, api, found, wait_seconds)
                api.scale(name, found.version, workers)
            else:
                _scale_up(project, api, found, workers, load_seconds)
            note["said"] = f"{name} {found.version}: {found.min_workers} -> {workers} worker(s)"
        about = {"model": name, "to": found.version, "workers": workers}
        return _record(project, "scale", steps, about | {"workers_before": found.min_workers})


def _scale_up(
    project: Project, api: Management, found: Version, workers: int, seconds: float
) -> None:
    since = LogMarks.now(project)
    api.scale(found.name, found.version, workers)
    try:
        wait_loaded(project, api, found.name, found.version, since=since, seconds=seconds)
    except (MarqueeError, KeyboardInterrupt):
        with ignored():
            # Those that did not load hold nothing; TorchServe ends the newest first.
            api.scale(found.name, found.version, found.min_workers)
        raise


def _wait_idle(project: Project, api: Management, found: Version, seconds: float) -> None:
    """Return after a while without any request for the version, when its workers hold none."""
    workers = Workers(project, api, found, Manner.of(project.model_store, found))
    deadline = time.monotonic() + seconds
    while True:
        log = AccessLog.of(project, found.name).follow()
        quiet = _quiet(api, found, log, time.monotonic() + IDLE_SECONDS)
        if quiet and workers.idle(deadline) and _quiet(api, found, log, time.monotonic()):
            return
        if time.monotonic() > deadline:
            raise MarqueeError(
                f"{found.name} {found.version} was not without requests for {IDLE_SECONDS:.0f} s "
                f"within {seconds:.0f} s. Each worker that ends fails the requests it holds, up "
                f"to {found.batch_size}; wait for a quieter hour (--wait), swap to another "
                "version meanwhile, or use --force"
            )


def _quiet(api: Management, found: Version, log: Follower, until: float) -> bool:
    """Whether nothing comes for the version and nothing waits, since the log is read."""
    while True:
        described, seen = api.describe(found.name, found.version), log.seen()
        if (described and described.pending) or seen.requests or seen.pinned:
            return False
        if time.monotonic() >= until:
            return True
        pause(POLL_SECONDS)


def _known(api: Management, name: str, version: str) -> Version:
    found = api.describe(name, version)
    if found is None:
        versions = ", ".join(sorted(one.version for one in api.versions(name)))
        if not versions:
            known = ", ".join(api.models()) or "none"
            raise MarqueeError(f"the server has no model '{name}'; it has: {known}")
        raise MarqueeError(f"the server has no {name} '{version}'; it has: {versions}")
    return found


def _check_settled(project: Project, name: str) -> None:
    plan = journal.unfinished(project, name)
    if plan is not None:
        raise MarqueeError(
            f"a {plan.action} of {name} to {plan.new} was killed and is not put right yet; run it "
            f"again, or: marquee swap {name} {plan.new}"
        )


def _record(
    project: Project, action: str, steps: Steps, about: Mapping[str, Any]
) -> dict[str, Any]:
    done = {"outcome": history.DONE, "reason": "", "steps": steps.done}
    return history.append(project, {"action": action, **about, **done})
