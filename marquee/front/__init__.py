"""The front door: HAProxy before TorchServe. marquee writes its configuration, and talks to it.

In reading order: ``settings`` and ``origins`` (what it is told), ``haproxy.cfg`` and ``config``
(what is written from it), ``process`` and ``runtime`` (start, reload, drain, talk), ``door``
(``marquee serve --front``), ``keeper`` (what it is told every second), ``canary``, ``watcher`` and
``traffic``.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.front import config, runtime
from marquee.front.process import Haproxy
from marquee.front.settings import folder_of
from marquee.project import Project


@dataclass(frozen=True)
class Front:
    """The running front door of a project.

    Attributes:
        haproxy: its process.
    """

    haproxy: Haproxy

    def ping(self) -> dict[str, Any]:
        """Return what ``/ping`` says of the models now.

        Raises:
            MarqueeError: nobody has asked the models for a while.
        """
        state = self.haproxy.map(config.STATE_MAP).read()
        if float(state.get("until", 0)) < time.time():
            raise MarqueeError(
                "the process that asks the models does not do so any more; restart the server"
            )
        try:
            found: dict[str, Any] = json.loads(base64.b64decode(state["body"]))
        except (KeyError, ValueError, binascii.Error) as error:
            raise MarqueeError(f"the front's state is damaged ({error}); restart it") from error
        if found == config.STARTING:
            raise MarqueeError(f"{config.STARTING['message']}; try again")
        return found

    def split(self, model: str, version: str, share: float) -> None:
        """Send this share (0 to 1) of the model's requests to ``version`` from now on."""
        value = f"{round(share * 10000)}/{version}"
        self.haproxy.map(config.CANARY_MAP).set({model: value})

    def unsplit(self, model: str) -> None:
        """Send all of the model's requests to its default version from now on."""
        self.haproxy.map(config.CANARY_MAP).remove(model)

    def begin_turn(self) -> int:
        """Begin a turn of requests, so that those before can be told from those after."""
        return self.haproxy.map(config.STATE_MAP).count_up(config.TURN)

    def in_flight(self, model: str, version: str, before: int | None = None) -> int:
        """Return how many requests are unanswered that may be for this version.

        Args:
            model, version: those that named it, those that left the version to the default, and
                those on ways where the door does not see the model.
            before: only those of earlier turns than this one.
        """
        return sum(
            count
            for (turn, *asked), count in runtime.taken(self.haproxy.master).items()
            if (before is None or int(turn) < before)
            and asked in (["", ""], [model, ""], [model, version])
        )


def running(project: Project) -> Front | None:
    """Return the project's front door, or None if none runs."""
    haproxy = Haproxy(folder_of(project))
    return None if haproxy.process() is None else Front(haproxy)
