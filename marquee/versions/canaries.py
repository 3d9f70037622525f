"""A project's canaries, on disk: which version is tried on which share of the requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marquee import state
from marquee.errors import MarqueeError
from marquee.front.process import running
from marquee.project import Project

STATE = "canary.json"


@dataclass(frozen=True)
class Limits:
    """What makes a canary be withdrawn by itself.

    Attributes:
        max_errors: how much higher its error rate may be than the default's, 0 to 1.
        max_slower: how much longer its p95 may be than the default's, as a share of that.
        min_requests: how many requests it must have had for its error rate to count; for its
            p95, five times as many (and as many of the default's).
    """

    max_errors: float = 0.05
    max_slower: float = 0.5
    min_requests: int = 20


@dataclass(frozen=True)
class Canary:
    """A canary that gets requests.

    Attributes:
        model, version: who.
        share: of the requests that name no version, 0 to 1.
        since: when it began, in seconds since 1970.
        limits: what makes it be withdrawn.
    """

    model: str
    version: str
    share: float
    since: float
    limits: Limits = field(default_factory=Limits)


def load(project: Project) -> dict[str, Canary]:
    """Return the project's canaries by model; they outlive a restart."""
    path = project.state / STATE
    return _parsed(path, state.read(path))


def _parsed(path: Path, kept: Mapping[str, Any]) -> dict[str, Canary]:
    try:
        return {
            model: Canary(**{**one, "limits": Limits(**one["limits"])})
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


def check_none(project: Project, model: str, version: str | None = None) -> None:
    """Return if no canary of the model runs, or none of this version of it.

    Raises:
        MarqueeError: one gets requests now, with how to end it.
    """
    found = load(project).get(model)
    if found is None or version not in (None, found.version) or running(project) is None:
        return
    raise MarqueeError(
        f"{model} {found.version} is tried on {found.share:.2%} of the requests; end that first: "
        f"marquee canary {model} --promote, or --withdraw"
    )
