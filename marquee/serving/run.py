"""The run loop: a server and the door before it, from start to a clean stop.

Signals are noted, and looked for where nothing is half done; see :mod:`marquee.interrupts`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import IO

from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.serving.door import Door
from marquee.torchserve import server
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.loaded import ModelId
from marquee.torchserve.server import Server

WATCH_SECONDS = 0.5


class Foreground:
    """What runs until it is told to stop: a server, behind a door where there is one.

    Subclasses tell people of each step.
    """

    # Whether a second signal ends the wait for the requests in flight.
    hurries = True
    # Where the server's logs can be read, if not in its files.
    printed = ""

    def __init__(self, project: Project, door: Door | None) -> None:
        self.project = project
        self.door = door
        self._server: Server | None = None

    def run(self) -> None:
        """Serve until a signal comes, or somebody stops the server from elsewhere.

        Raises:
            MarqueeError: why it does not start, or what ended it.
        """
        with interrupts.raised(), suppress(interrupts.Interrupted):
            try:
                self._watch(self._start())
            except MarqueeError:
                if self._server is None or not self._server.end_is_wanted:
                    raise
            finally:
                with interrupts.noted() as hurried:
                    self._stop(hurried if self.hurries else lambda: False)

    def _start(self) -> Server:
        """Start everything; return when every model has answered."""
        variables = self.door.prepare() if self.door else {}
        self._server = running = replace(
            server.start(self.project, variables, self._output()), printed=self.printed
        )
        interrupts.check()
        if self.door:
            self.door.open(lambda: running.alive)
        self._opened()
        management = self.door.management() if self.door else None
        with self._loading() as loaded:
            interrupts.waited(lambda: running.wait_ready(loaded, management))
        if self.door:
            self.door.wait_ready()
        self._ready()
        return running

    def _watch(self, running: Server) -> None:
        """Keep the door open until the server ends, or the door is closed from elsewhere."""
        with self._watching() as look:
            while running.alive:
                look()
                if self.door and not self.door.check():
                    return
                interrupts.pause(WATCH_SECONDS)
        if not (self.door and self.door.haproxy.closing):
            raise MarqueeError(f"TorchServe ended by itself: {last_words(self.project)}")

    def _stop(self, hurried: Callable[[], bool]) -> None:
        """Answer what is in flight, then end everything."""
        self._say("Stopping.")
        cut_off = self.door.close(self._draining, hurried) if self.door else 0
        if cut_off:
            why = "" if hurried() else ": they took too long"
            self._say(f"{cut_off} requests were cut off{why}.")
        elsewhere = self._server is not None and not server.pid_file(self.project).exists()
        if server.stop(self.project) or elsewhere:
            self._say("Stopped.")

    def _draining(self, count: int) -> None:
        seconds = self.door.settings.drain_timeout if self.door else 0
        hurry = "; Ctrl-C does not wait for them" if self.hurries else ""
        self._say(f"Answering {count} requests in flight, for up to {seconds} s{hurry}.")

    def _say(self, text: str) -> None:
        """Tell people of a step."""

    def _output(self) -> AbstractContextManager[IO[str]] | None:
        """Return what takes the server's output; None for its own file."""
        return None

    def _opened(self) -> None:
        """Do what is to be done when the door is open, and no model has loaded."""

    def _loading(self) -> AbstractContextManager[Callable[[ModelId], None]]:
        """Lend what is called for each model that has loaded, in a thread of its own."""
        return nullcontext(lambda _: None)

    def _ready(self) -> None:
        """Say that every model has answered."""

    def _watching(self) -> AbstractContextManager[Callable[[], None]]:
        """Lend what is called now and then while the server runs."""
        return nullcontext(lambda: None)
