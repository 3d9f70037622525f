"""A project's canaries, on disk: which version is tried on which share of the requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marquee import state
from marquee.errors import MarqueeError
from marquee.front import program
from marquee.front.doors import FrontDoor, running
from marquee.project import Project
from marquee.versions.judgement import CanaryLimits

STATE = "canary.json"


@dataclass(frozen=True)
class Canary:
    """A canary that gets requests.

    Attributes:
        model, version: who.
        share: of the requests that name no version, 0 to 1.
        since: when it began, in seconds since 1970.
        limits: what makes it be withdrawn.
        proven: whether its archive has requests whose answer is known.
    """

    model: str
    version: str
    share: float
    since: float
    limits: CanaryLimits = field(default_factory=CanaryLimits)
    proven: bool = True


def front_door(project: Project) -> FrontDoor:
    """Return the running front door, without which there are no canaries.

    Raises:
        MarqueeError: none runs; how to get it.
    """
    front = running(project)
    if front is None:
        program.find()  # says how to get HAProxy, where that is what is missing
        raise MarqueeError(
            "a canary needs the front door, and none runs: TorchServe cannot split a model's "
            "requests; stop the server and start it with: marquee serve --front"
        )
    return front


def load(project: Project) -> dict[str, Canary]:
    """Return the project's canaries by model; they outlive a restart."""
    path = project.state / STATE
    return _parsed(path, state.read(path))


def of(canaries: Mapping[str, Canary], model: str) -> Canary:
    """Return a model's canary.

    Raises:
        MarqueeError: it has none.
    """
    canary = canaries.get(model)
    if canary is None:
        raise MarqueeError(f"{model} has no canary; begin one: marquee canary {model} VERSION")
    return canary


def _parsed(path: Path, kept: Mapping[str, Any]) -> dict[str, Canary]:
    try:
        return {
            model: Canary(**{**one, "limits": CanaryLimits(**one["limits"])})
            for model, one in kept.items()
        }
    except (KeyError, TypeError) as error:
        raise MarqueeError(f"{path} is damaged ({error}); delete it") from error


@contextmanager
def locked(project: Project) -> Iterator[dict[str, Canary]]:
    """Lend the canaries to change: to one at a time, written at the end if all went well.

    Held for no longer than a change takes: whoever watches the models waits for it.
    """
    path = state.folder(project) / STATE
    with state.changed(path) as kept:
        canaries = _parsed(path, kept)
        yield canaries
        kept.clear()
        kept.update({name: asdict(one) for name, one in canaries.items()})


def give_share(project: Project, canary: Canary) -> None:
    """Have the front door send a canary its share, unless another or none runs by now."""
    front = running(project)
    with locked(project) as canaries:
        now = canaries.get(canary.model)
        if front is not None and now is not None and now.version == canary.version:
            front.set_canary(now.model, now.version, now.share)


@contextmanager
def ending(project: Project, canary: Canary) -> Iterator[bool]:
    """Lend whether a canary still runs; its split ends with the block, if that ends well.

    Killed in between, the canary goes on: it is on disk until the door knows.
    """
    with locked(project) as canaries:
        now = canaries.get(canary.model)
        runs = now is not None and now.since == canary.since
        yield runs
        if runs:
            front = running(project)
            if front is not None:
                front.remove_canary(canary.model)
            del canaries[canary.model]


@contextmanager
def promoted(project: Project, canary: Canary) -> Iterator[None]:
    """End the split when the block has made the canary the default.

    Raises:
        MarqueeError: it was ended meanwhile; nothing is done then.
    """
    with ending(project, canary) as runs:
        if not runs:
            raise MarqueeError(
                f"the canary {canary.model} {canary.version} was ended while it was tried; see: "
                f"marquee history {canary.model}"
            )
        yield


def end(project: Project, canary: Canary) -> bool:
    """Send all requests to the default version again; return whether that canary still ran."""
    with ending(project, canary) as runs:
        return runs


def check_none(project: Project, model: str, version: str | None = None) -> None:
    """Return if no canary of the model runs, or none of this version of it.

    Raises:
        MarqueeError: one gets requests now, with how to end it.
    """
    canary = load(project).get(model)
    if canary is None or version not in (None, canary.version) or running(project) is None:
        return
    raise MarqueeError(
        f"{model} {canary.version} is tried on {canary.share:.2%} of the requests; end that first: "
        f"marquee canary {model} --promote, or --withdraw"
    )
