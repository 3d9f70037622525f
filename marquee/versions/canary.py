"""A share of a model's requests for another version: begun, watched, withdrawn."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from marquee.archives.golden import requests_of
from marquee.errors import MarqueeError
from marquee.front.doors import FrontDoor, running
from marquee.front.traffic import Summary, Traffic, as_json, from_json
from marquee.interrupts import raised, until
from marquee.project import Project
from marquee.torchserve.management import Management
from marquee.torchserve.readiness import Prober
from marquee.versions import canaries, candidate, history, journal
from marquee.versions.canaries import Canary
from marquee.versions.candidate import Candidate
from marquee.versions.history import Record, StepListener, Steps, silent
from marquee.versions.judgement import DEFAULT_POLICY, CanaryLimits, SwapPolicy, worse_than_default
from marquee.versions.operate import add, proved
from marquee.versions.probe import have_answers
from marquee.versions.recovery import recover, settled

TRAFFIC = "traffic.json"
# The door looks every second; where it asks many models, later.
BEAT_SECONDS = 10.0


@dataclass(frozen=True)
class CanaryFigures:
    """A canary with what it and the default version have answered since it began."""

    canary: Canary
    default_version: str
    default: Summary
    of_canary: Summary


def begin(
    project: Project,
    model: str,
    version: str,
    share: float,
    limits: CanaryLimits | None = None,
    *,
    policy: SwapPolicy = DEFAULT_POLICY,
    listener: StepListener = silent,
) -> Canary:
    """Give ``version`` a share of the model's requests, once it answers its golden requests.

    A version that is not registered is registered, and a retired one gets its workers back. A
    canary of the same version gets the new share and keeps its counts.

    Args:
        model, version: an archive of the model store.
        share: above 0, at most 1.
        limits: when it is withdrawn by itself.
        policy: how long it may take to load and to answer.

    Raises:
        MarqueeError: there is no front door, no such archive, or it does not load or answers
            wrongly.
    """
    canaries.front_door(project)
    if not 0 < share <= 1:
        raise MarqueeError(f"a share of {share:.2%} cannot be, expected above 0 % and up to 100 %")
    with settled(project, model, listener) as api:
        if version == api.known(model).version:
            raise MarqueeError(f"{version} is the default version of {model} already")
        new = candidate.of_version(project, model, version)
        try:
            _try(project, api, new, policy, Steps(listener))
        except MarqueeError as error:
            raise MarqueeError(f"{error}; {model} {version} gets no requests") from error
        proven = have_answers(requests_of(new.archive))
        wanted = Canary(model, version, share, time.time(), limits or CanaryLimits(), proven)
        return _begin(project, wanted)


def _try(
    project: Project, api: Management, new: Candidate, policy: SwapPolicy, steps: Steps
) -> None:
    """Load a version, and ask it what its archive knows the answer to before anybody else does."""
    described = api.describe(new.name, new.version)
    if described is None:
        add(project, api, new, policy, steps)
        return
    before = history.workers_before(project, new.name, new.version) or 1

    def scale(workers: int) -> None:
        if not described.workers:  # what has some keeps them
            api.scale(new.name, new.version, workers)

    begin, undo = partial(scale, before), partial(scale, 0)
    proved(project, api, new, policy, steps, begin=begin, undo=undo)


def _begin(project: Project, canary: Canary) -> Canary:
    """Write the canary down, and then tell the door: it is watched before it is asked."""
    with canaries.locked(project) as known:
        before = known.get(canary.model)
        fresh = before is None or before.version != canary.version
        if before is not None and not fresh:
            canary = replace(canary, since=before.since)
        known[canary.model] = canary
    # Its first requests count, too: who watches counts from zero when it sees it.
    until(partial(_is_watched, project, canary), BEAT_SECONDS)
    canaries.give_share(project, canary)
    share = f"{canary.share:.2%} of the requests"
    _record(project, canary, share if fresh else f"now {share}", history.DONE)
    return canary


def withdraw(project: Project, model: str, reason: str = "by hand") -> Canary:
    """End the split: the default version answers everything. The canary stays registered.

    Where its promotion was killed under way, the version before becomes the default again.

    Raises:
        MarqueeError: there is no canary.
    """
    canaries.front_door(project)
    canary = canaries.of(canaries.load(project), model)
    plan = journal.unfinished(project, model)
    if plan is not None and plan.moved:
        with raised(), journal.locked(project, model), Management.of(project) as api:
            recover(project, api, plan)
        return canary
    withdraw_for(project, canary, reason)
    return canary


def _is_watched(project: Project, canary: Canary) -> bool:
    front = running(project)
    return front is None or _published(front).get(canary.model, {}).get("since") == canary.since


def withdraw_for(project: Project, canary: Canary, reason: str) -> None:
    """End the split of a canary for a reason, if it still runs; needs nothing but the door."""
    if canaries.end(project, canary):
        _record(project, canary, reason, "withdrawn")


def figures(project: Project, model: str) -> CanaryFigures:
    """Return the model's canary and both sides' figures, a second old at most.

    Raises:
        MarqueeError: there is no canary, or no front door.
    """
    front = canaries.front_door(project)
    canary = canaries.of(canaries.load(project), model)
    sides = _published(front).get(model)
    default, own = from_json(sides) if sides else (Summary(), Summary())
    with Management.of(project) as api:
        return CanaryFigures(canary, api.known(model).version, default, own)


def _published(front: FrontDoor) -> dict[str, Any]:
    path = front.folder / TRAFFIC
    sides: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return sides


def _record(project: Project, canary: Canary, reason: str, outcome: str) -> None:
    record: Record = {
        "action": "canary",
        "model": canary.model,
        "to": canary.version,
        "share": canary.share,
        "outcome": outcome,
        "reason": reason,
    }
    history.append(project, record)


class Watcher:
    """What ``marquee serve --front`` does for canaries every second, looked at or not.

    It gives them their share, and withdraws one that does worse than it may.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, Canary] = {}
        self._proven: set[tuple[str, str]] = set()

    def look(self, prober: Prober, traffic: Traffic) -> dict[str, dict[str, Any]]:
        """Look at all canaries once; return what is published of each, by model."""
        running = canaries.load(self._project)
        self._forget_others(running, traffic)
        sides = {}
        for model, canary in running.items():
            default, own = traffic.summary(model), traffic.summary(model, canary.version)
            sides[model] = as_json(default, own) | {"since": canary.since}
            problem = self._unready(prober, canary) or worse_than_default(
                own, default, canary.limits, proven=canary.proven
            )
            if problem is not None:
                withdraw_for(self._project, canary, problem)
        return sides

    def _forget_others(self, running: Mapping[str, Canary], traffic: Traffic) -> None:
        for model, canary in running.items():
            before = self._known.get(model)
            if before is None or before.since != canary.since:
                traffic.reset(model)
                self._proven.discard((model, canary.version))
        self._known = dict(running)

    def _unready(self, prober: Prober, canary: Canary) -> str | None:
        """Return why a canary that was ready is not; gives one that is its share.

        Again and again: after a restart of the door, or of everything, it has none.
        """
        problem = prober.look(canary.model, canary.version)
        if problem is None:
            self._proven.add((canary.model, canary.version))
            canaries.give_share(self._project, canary)
            return None
        was_ready = (canary.model, canary.version) in self._proven
        return problem if was_ready or problem == "is not registered" else None
