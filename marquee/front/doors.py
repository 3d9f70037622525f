"""The door that a project's requests come in by: HAProxy's, or a Ray server's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from marquee.front import process, rayserver
from marquee.project import Project


class FrontDoor(Protocol):
    """What splits a model's requests between versions, and knows how the models are.

    Attributes:
        folder: where it publishes what the sides of its canaries do.
    """

    folder: Path

    def set_canary(self, model: str, version: str, share: float) -> None:
        """Send this share (0 to 1) of the model's requests to ``version`` from now on."""

    def remove_canary(self, model: str) -> None:
        """Send all of the model's requests to its default version from now on."""

    def ping(self) -> dict[str, Any]:
        """Return ``models``: by name, ``version``, ``ready`` and, if it is not, ``why``."""


def running(project: Project) -> FrontDoor | None:
    """Return the door of the project's running server, or None if it has none."""
    return process.running(project) or rayserver.running(project)
