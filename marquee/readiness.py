"""Whether every configured model is ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from marquee.management import Management
from marquee.project import Project
from marquee.server import models as configured


@dataclass(frozen=True)
class Readiness:
    """Why each version in the model store is not ready; None where it is.

    Attributes:
        models: the reason by (name, version).
    """

    models: Mapping[tuple[str, str], str | None]

    @property
    def ready(self) -> bool:
        """Whether all are."""
        return not any(self.models.values())


def ready(project: Project) -> Readiness:
    """Ask the running server about every version in the model store.

    Raises:
        MarqueeError: no server answers.
    """
    with Management.of(project) as api:
        return Readiness({(n, v): _why_not(api, n, v) for n, v in configured(project)})


def _why_not(api: Management, name: str, version: str) -> str | None:
    found = api.describe(name, version)
    if found is None:
        return "not registered"
    if found.ready or found.min_workers == 0:
        return None
    return f"{found.loaded} of {found.min_workers} workers have loaded"
