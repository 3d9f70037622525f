"""Whether every model of the project is ready, as the running server's keeper or it itself says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marquee.errors import MarqueeError
from marquee.front.process import running
from marquee.interrupts import until
from marquee.project import Project
from marquee.torchserve.health import Timing
from marquee.torchserve.inference import Inference
from marquee.torchserve.loaded import defaults
from marquee.torchserve.management import Management
from marquee.torchserve.readiness import Prober, Readiness


def ready(project: Project) -> Readiness:
    """Ask the running server: the front door for what it knows, or else every model now.

    Returns:
        For each model with an archive in the model store (behind a front door: for each
        registered one), its default version's readiness.

    Raises:
        MarqueeError: no server answers.
    """
    front = running(project)
    if front is not None:
        return _published(front.ping()["models"])
    with Management.of(project) as api, Inference.of(project) as inference:
        prober = Prober(api, inference.problem, project.model_store, Timing())
        return _settled(prober, defaults(project), api)


def _published(models: Mapping[str, Mapping[str, Any]]) -> Readiness:
    """Read what ``/ping`` says; see :class:`marquee.serving.keeper.Keeper`."""
    return Readiness({(n, str(one["version"])): one.get("why") for n, one in models.items()})


def _settled(prober: Prober, wanted: Mapping[str, str], api: Management) -> Readiness:
    """Wait until every model has answered, or has not for as long as it may take."""
    current = {name: api.default(name) or version for name, version in wanted.items()}
    if not current:
        raise MarqueeError("the model store holds nothing that can be served: make archive")

    def settled() -> bool:
        prober.check(current)
        return not prober.asking

    until(settled, Timing().patience)
    return prober.check(current)  # an answer may have come since the last look
