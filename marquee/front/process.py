"""The HAProxy of a project, found from whatever process: asked, told, drained, stopped."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from marquee import processes
from marquee.errors import MarqueeError
from marquee.front import maps, runtime
from marquee.project import Project

STOP_SECONDS = 5
POLL_SECONDS = 0.05
# A request that passed the gate just before it was closed shows up a moment later.
QUIET_POLLS = 4


class Haproxy:
    """A HAProxy in a folder, started by this process or by another.

    Args:
        folder: the front's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "haproxy.cfg"
        self.pid_file = folder / "haproxy.pid"
        # The runtime sockets: of the working process, and of the one that replaces it.
        self.admin = folder / "admin.sock"
        self.master = folder / "master.sock"
        # What it was started with, for those that meet it running.
        self.started_with = folder / "started_with.json"

    def map(self, name: str) -> maps.RuntimeMap:
        """Return one of its maps."""
        return maps.RuntimeMap(self.admin, self.folder / name)

    def process(self) -> psutil.Process | None:
        """Return the master's process, or None if it does not run."""
        return processes.of_pid_file(self.pid_file, str(self.config))

    def listens(self) -> bool:
        """Whether it runs, and takes requests."""
        return self.process() is not None and runtime.answers(self.admin)

    def ping(self) -> dict[str, Any]:
        """Return what ``/ping`` says of the models now.

        Raises:
            MarqueeError: nobody has asked the models for a while.
        """
        state = self.map(maps.STATE).read()
        if float(state.get("until", 0)) < time.time():
            raise MarqueeError(
                "the process that asks the models does not do so any more; restart the server"
            )
        try:
            body: dict[str, Any] = json.loads(base64.b64decode(state["body"]))
        except (KeyError, ValueError, binascii.Error) as error:
            raise MarqueeError(f"the front's state is damaged ({error}); restart it") from error
        if body == maps.STARTING:
            raise MarqueeError(f"{maps.STARTING['message']}; try again")
        return body

    def set_canary(self, model: str, version: str, share: float) -> None:
        """Send this share (0 to 1) of the model's requests to ``version`` from now on."""
        self.map(maps.CANARY).set({model: f"{round(share * 10000)}/{version}"})

    def remove_canary(self, model: str) -> None:
        """Send all of the model's requests to its default version from now on."""
        self.map(maps.CANARY).remove(model)

    def begin_epoch(self) -> int:
        """Number the requests from now on anew, so that those before can be told from them."""
        return self.map(maps.STATE).count_up(maps.EPOCH)

    def in_flight(self, model: str, version: str, before: int | None = None) -> int:
        """Return how many requests are unanswered that may be for this version.

        Args:
            model, version: those that named it, those that left the version to the default, and
                those on ways where the door does not see the model.
            before: only those of earlier epochs than this one.
        """
        may_be = (["", ""], [model, ""], [model, version])
        return sum(
            count
            for (epoch, *named), count in runtime.in_flight_by_version(self.master).items()
            if (before is None or int(epoch) < before) and named in may_be
        )

    def in_flight_of_model(self, model: str) -> int:
        """Return how many requests are unanswered that named this model."""
        counts = runtime.in_flight_by_version(self.master)
        return sum(count for (_, named, _), count in counts.items() if named == model)

    def close(
        self,
        on_progress: Callable[[int], None],
        forced: Callable[[], bool] = lambda: False,
    ) -> int:
        """Answer 503, wait for the requests in flight as long as the settings say, and stop it.

        Args:
            on_progress: called with their number whenever it changes.
            forced: whether to wait no longer.

        Returns:
            How many are cut off.
        """
        if self.process() is None:
            return 0
        seconds = json.loads(self.started_with.read_text())["drain_timeout"]
        try:
            return self._drain(seconds, on_progress, forced)
        except MarqueeError:
            return 0  # it died meanwhile, and with it whatever it had in its hands
        finally:
            self.stop()

    def _drain(
        self, seconds: float, on_progress: Callable[[int], None], forced: Callable[[], bool]
    ) -> int:
        self.map(maps.STATE).set({"draining": "1"})
        deadline = time.monotonic() + seconds
        quiet, last = 0, 0
        # No wait of `interrupts`: the signal that stops the server is what it drains for.
        while quiet < QUIET_POLLS and time.monotonic() < deadline and not forced():
            count = runtime.in_flight(self.master)
            quiet = 0 if count else quiet + 1
            if count and count != last:
                on_progress(count)
            last = count
            time.sleep(POLL_SECONDS)
        return last

    @property
    def closing(self) -> bool:
        """Whether somebody has told it to drain, and not to be started again."""
        return self.map(maps.STATE).read().get("draining") == "1"

    def stop(self) -> bool:
        """End it at once: drain first. Returns whether it was running."""
        process = self.process()
        if process is None:
            return False
        processes.end(process, STOP_SECONDS)
        self.pid_file.unlink(missing_ok=True)
        return True


def folder_of(project: Project) -> Path:
    """Return the front's folder in the project's private temporary folder."""
    return project.temp / "front"


def running(project: Project) -> Haproxy | None:
    """Return the project's front door, or None if none runs."""
    haproxy = Haproxy(folder_of(project))
    return None if haproxy.process() is None else haproxy
