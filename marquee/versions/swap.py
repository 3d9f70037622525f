"""Make another version of a model the default under live traffic: a swap, a rollback, a promotion.

The order is the one that was measured to lose no request: register beside, load, check, move
the default, watch, drain, take the old version's workers. Until the new version has been found
good under live traffic, any failure goes back to the old one.
"""

from __future__ import annotations

import math
from dataclasses import replace

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.management import Management, Version
from marquee.versions import canaries, candidate, guard, history, journal
from marquee.versions.canaries import Canary, check_none
from marquee.versions.candidate import Candidate
from marquee.versions.change import Change
from marquee.versions.history import Record, StepListener, Steps, silent
from marquee.versions.judgement import DEFAULT_POLICY, SwapPolicy
from marquee.versions.recovery import settled


def swap(
    project: Project,
    model: str,
    target: str,
    policy: SwapPolicy = DEFAULT_POLICY,
    listener: StepListener = silent,
) -> Record:
    """Make ``target`` (a version, an archive in the store or its path, a URL) the one that serves.

    Returns:
        The record that the history got.

    Raises:
        MarqueeError: why not; the version before goes on serving.
    """
    with settled(project, model, listener) as api:
        check_none(project, model)
        old, new = api.known(model), candidate.find(project, model, target)
        steps = Steps(listener)
        return _run(project, api, new, old, policy=policy, steps=steps, action="swap")


def rollback(
    project: Project,
    model: str,
    policy: SwapPolicy = DEFAULT_POLICY,
    listener: StepListener = silent,
) -> Record:
    """Go back to the version that the last swap replaced, as carefully as forward.

    Its speed is told, but not judged: it is wanted because the present one is wrong.

    Returns, raises:
        As :func:`swap`.
    """
    with settled(project, model, listener) as api:
        check_none(project, model)
        old = api.known(model)
        before = history.version_before(project, model, old.version)
        if before is None:
            raise MarqueeError(
                f"no change to {model} {old.version} is in the history, so there is no version to "
                f"go back to; name one: marquee swap {model} VERSION"
            )
        lenient, new = (
            replace(policy, max_slowdown=math.inf),
            candidate.find(project, model, before),
        )
        steps = Steps(listener)
        return _run(project, api, new, old, policy=lenient, steps=steps, action="rollback")


def promote(
    project: Project,
    model: str,
    policy: SwapPolicy = DEFAULT_POLICY,
    listener: StepListener = silent,
) -> Canary:
    """Make the canary the default version as carefully as a swap does, and end the split.

    The version before keeps its workers. What fails before the default moves leaves the canary
    as it is; what fails afterwards ends it.

    Raises:
        MarqueeError: there is no canary, or why it did not become the default.
    """
    canaries.front_door(project)
    with settled(project, model, listener) as api:
        canary = canaries.of(canaries.load(project), model)
        described = api.describe(model, canary.version)
        if described is None or not described.ready:
            raise MarqueeError(f"{model} {canary.version} is not ready; the canary stays as it is")
        new = candidate.of_version(project, model, canary.version)
        own = replace(policy, keep=True, max_errors=canary.limits.max_errors)
        old, steps, action = api.known(model), Steps(listener), history.PROMOTION
        _run(project, api, new, old, policy=own, steps=steps, action=action, canary=canary)
        return canary


def _run(
    project: Project,
    api: Management,
    new: Candidate,
    old: Version,
    *,
    policy: SwapPolicy,
    steps: Steps,
    action: str,
    canary: Canary | None = None,
) -> Record:
    try:
        change = Change(project, api, new, old, policy, steps, action, canary)
        with guard.watching(project, old.name):
            return change.run()
    except (MarqueeError, KeyboardInterrupt):
        if journal.unfinished(project, old.name) is None:  # else it is still to be put right
            new.discard()
        raise
