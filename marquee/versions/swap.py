"""Put another version of a model into service under live traffic, and back.

The order is the one that was measured to lose no request: register beside, load, check, move
the default, watch, drain, take the old version's workers. Until the new version has been found
good under live traffic, any failure goes back to the old one.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from marquee.errors import MarqueeError
from marquee.interrupts import raised
from marquee.project import Project
from marquee.torchserve.management import Management, Version
from marquee.versions import guard, history, journal, recovery
from marquee.versions.canaries import check_none
from marquee.versions.candidate import Candidate, find
from marquee.versions.change import Change
from marquee.versions.judgement import DEFAULT_OPTIONS, Options
from marquee.versions.steps import Report, Steps, silent


def swap(
    project: Project,
    model: str,
    target: str,
    options: Options = DEFAULT_OPTIONS,
    report: Report = silent,
) -> dict[str, Any]:
    """Make ``target`` (a version, an archive in the store or its path, a URL) the one that serves.

    Returns:
        The record that the history got.

    Raises:
        MarqueeError: why not; the version before goes on serving.
    """
    with raised(), journal.locked(project, model), Management.of(project) as api:
        check_none(project, model)
        _recover_first(project, api, model, report)
        old = _serving(api, model)
        candidate = find(project, model, target)
        return _run(project, api, candidate, old, options=options, report=report, action="swap")


def rollback(
    project: Project, model: str, options: Options = DEFAULT_OPTIONS, report: Report = silent
) -> dict[str, Any]:
    """Go back to the version that the last swap replaced, as carefully as forward.

    Its speed is told, but not judged: it is wanted because the present one is wrong.

    Returns, raises:
        As :func:`swap`.
    """
    with raised(), journal.locked(project, model), Management.of(project) as api:
        check_none(project, model)
        _recover_first(project, api, model, report)
        old = _serving(api, model)
        before = history.version_before(project, model, old.version)
        if before is None:
            raise MarqueeError(
                f"no change to {model} {old.version} is in the history, so there is no version to "
                f"go back to; name one: marquee swap {model} VERSION"
            )
        lenient = replace(options, max_slowdown=math.inf)
        candidate = find(project, model, before)
        return _run(project, api, candidate, old, options=lenient, report=report, action="rollback")


def _recover_first(project: Project, api: Management, model: str, report: Report) -> None:
    plan = journal.unfinished(project, model)
    if plan is None:
        return
    with Steps(report).step("recover") as note:
        note["said"] = recovery.recover(project, api, plan)


def _serving(api: Management, model: str) -> Version:
    default = api.default(model)
    found = None if default is None else api.describe(model, default)
    if found is None:
        known = ", ".join(api.models()) or "none"
        raise MarqueeError(
            f"the server has no model '{model}' ({known}); add it: marquee register ARCHIVE"
        )
    return found


def _run(
    project: Project,
    api: Management,
    candidate: Candidate,
    old: Version,
    *,
    options: Options,
    report: Report,
    action: str,
) -> dict[str, Any]:
    try:
        change = Change(project, api, candidate, old, options, Steps(report), action)
        with guard.watching(project, old.name):
            return change.run()
    except (MarqueeError, KeyboardInterrupt):
        if journal.unfinished(project, old.name) is None:  # else it is still to be put right
            candidate.discard()
        raise
