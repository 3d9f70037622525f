"""A share of a model's requests for another version: begun, watched, promoted or withdrawn."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from marquee import state
from marquee.archives.example import example_of
from marquee.errors import MarqueeError
from marquee.front import program
from marquee.front.process import Haproxy, running
from marquee.front.traffic import Summary, from_json
from marquee.project import Project
from marquee.torchserve.inference import Inference
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version
from marquee.torchserve.server import LOAD_SECONDS
from marquee.versions import history, journal
from marquee.versions import operate as versions
from marquee.versions.canaries import Canary, Limits, load, locked

TRAFFIC = "traffic.json"
# A p95 wants more requests than an error rate, and differences this small are noise.
LATENCY_REQUESTS = 5
NOISE_MS = 20.0
PROMOTED = "it is the default version now"


@dataclass(frozen=True)
class Report:
    """A canary with what it and the default version have answered since it began."""

    canary: Canary
    default_version: str
    default: Summary
    of_canary: Summary


def begin(
    project: Project, model: str, version: str, share: float, limits: Limits | None = None
) -> Canary:
    """Give ``version`` a share of the model's requests: register it if need be, then try it.

    A canary of the same version gets the new share and keeps its counts.

    Args:
        project: whose server.
        model, version: an archive of the model store.
        share: above 0, at most 1.
        limits: when it is withdrawn by itself.

    Raises:
        MarqueeError: there is no front door, no such archive, or it does not load or answer.
    """
    front = _front(project)
    if not 0 < share <= 1:
        raise MarqueeError(f"a share of {share:.2%} cannot be, expected above 0 % and up to 100 %")
    with Management.of(project) as api:
        default = _default(api, model)
        if version == default:
            raise MarqueeError(f"{version} is the default version of {model} already")
        found = _loaded(project, api, model, version)
    _try(project, found)
    with journal.locked(project, model), locked(project) as canaries:
        before = canaries.get(model)
        fresh = before is None or before.version != version
        since = time.time() if before is None or fresh else before.since
        made = canaries[model] = Canary(model, version, share, since, limits or Limits())
        front.set_canary(model, version, share)
    reason = f"{share:.2%} of the requests" if fresh else f"now {share:.2%} of the requests"
    _record(project, made, "canary", reason, history.DONE)
    return made


def promote(project: Project, model: str) -> Canary:
    """Make the canary the default version, then end the split; nothing is unregistered.

    Raises:
        MarqueeError: there is no canary, or it is not ready; the split then goes on.
    """
    front = _front(project)
    # No swap moves the default meanwhile. The canaries are locked only at the end: an answer to
    # the trial may take long, and whoever watches the models must not wait for it.
    with journal.locked(project, model), Management.of(project) as api:
        found = _canary(load(project), model)
        before = _default(api, model)
        described = api.describe(model, found.version)
        if described is None or not described.ready:
            raise MarqueeError(f"{model} {found.version} is not ready; the canary stays as it is")
        _try(project, described)
        with locked(project) as canaries:
            now = canaries.pop(model, None)
            if now is None or now.since != found.since:
                raise MarqueeError(
                    f"the canary {model} {found.version} was ended while it was tried; see: "
                    f"marquee history {model}"
                )
            api.set_default(model, found.version)
            state.choose_default(project, model, found.version)
            front.remove_canary(model)
    _record(project, found, "canary promote", PROMOTED, history.DONE, replaced=before)
    return found


def withdraw(project: Project, model: str, why: str = "by hand") -> Canary:
    """End the split: the default version answers everything. The canary stays registered.

    Raises:
        MarqueeError: there is no canary.
    """
    front = _front(project)
    with locked(project) as canaries:
        found = _canary(canaries, model)
        front.remove_canary(model)
        del canaries[model]
    _record(project, found, "canary", why, "withdrawn")
    return found


def report(project: Project, model: str) -> Report:
    """Return the model's canary and both sides' figures, a second old at most.

    Raises:
        MarqueeError: there is no canary, or no front door.
    """
    front = _front(project)
    found = _canary(load(project), model)
    path = front.folder / TRAFFIC
    sides = json.loads(path.read_text()) if path.is_file() else {}
    default, own = from_json(sides[model]) if model in sides else (Summary(), Summary())
    with Management.of(project) as api:
        return Report(found, _default(api, model), default, own)


def verdict(default: Summary, canary: Summary, limits: Limits) -> str | None:
    """Return why a canary is worse than it may be, or None."""
    if canary.recent < limits.min_requests:
        return None
    if canary.error_rate > default.error_rate + limits.max_errors:
        return (
            f"its error rate is {canary.error_rate:.1%} of {canary.recent} requests, the default "
            f"version's {default.error_rate:.1%}"
        )
    enough = LATENCY_REQUESTS * limits.min_requests
    if canary.p95 is None or default.p95 is None or min(canary.recent, default.recent) < enough:
        return None
    if canary.p95 > max(default.p95 * (1 + limits.max_slower), default.p95 + NOISE_MS):
        return f"its p95 is {canary.p95:.0f} ms, the default version's {default.p95:.0f} ms"
    return None


def _front(project: Project) -> Haproxy:
    front = running(project)
    if front is None:
        program.find()  # says how to get HAProxy, where that is what is missing
        raise MarqueeError(
            "a canary needs the front door, and none runs: TorchServe cannot split a model's "
            "requests; stop the server and start it with: marquee serve --front"
        )
    return front


def _canary(canaries: Mapping[str, Canary], model: str) -> Canary:
    found = canaries.get(model)
    if found is None:
        raise MarqueeError(f"{model} has no canary; begin one: marquee canary {model} VERSION")
    return found


def _default(api: Management, model: str) -> str:
    default = api.default(model)
    if default is None:
        known = ", ".join(api.models()) or "none"
        raise MarqueeError(f"the server has no model '{model}'; it has: {known}")
    return default


def _loaded(project: Project, api: Management, model: str, version: str) -> Version:
    """Register the version, or give a retired one its workers back; return when they are ready."""
    found, since = api.describe(model, version), LogMarks.now(project)
    if found is None:
        archive = f"{model}-{version}.mar"
        if not (project.model_store / archive).is_file():
            raise MarqueeError(
                f"{model} {version} is not registered, and {project.model_store} has no {archive}; "
                f"build it: marquee archive {model}"
            )
        versions.register(project, archive)
    elif not found.workers:
        api.scale(model, version, history.workers_before(project, model, version) or 1)
    return wait_loaded(project, api, model, version, since=since, seconds=LOAD_SECONDS)


def _try(project: Project, version: Version) -> None:
    """Ask the version its own example before anybody else does."""
    example = example_of(project.model_store / version.archive)
    if example is None:
        return
    with Inference.of(project) as inference:
        problem = inference.problem(version, example)
    if problem is not None:
        raise MarqueeError(f"{version.name} {version.version} {problem}; it gets no requests")


def _record(
    project: Project,
    found: Canary,
    action: str,
    reason: str,
    outcome: str,
    *,
    replaced: str | None = None,
) -> None:
    record = {"action": action, "model": found.model, "to": found.version, "share": found.share}
    if replaced is not None:
        record["from"] = replaced
    history.append(project, record | {"outcome": outcome, "reason": reason})
