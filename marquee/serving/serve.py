"""``marquee serve``: a server in a terminal, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from marquee.project import Project
from marquee.serving.door import Door
from marquee.serving.run import Foreground
from marquee.torchserve import exposure, loaded, preflight, server
from marquee.torchserve.curl import command, curl_lines
from marquee.torchserve.loaded import ModelId

CONSOLE_BYTES = 100 << 20


def run(project: Project, *, front: bool = False) -> None:
    """Serve until told to stop; with ``front`` HAProxy takes the requests, before TorchServe.

    Raises:
        MarqueeError: why it does not start, or what ended it.
    """
    preflight.check(project, front=front)  # what runs already is not ours to stop
    door = Door(project) if front else None
    for warning in [*preflight.left_out(project), *exposure.warnings(project.properties)]:
        Console(stderr=True, soft_wrap=True).print(f"Warning: {warning}", markup=False)
    Terminal(project, door).run()


class Terminal(Foreground):
    """Shows progress, where to ask, and what the server prints."""

    def __init__(self, project: Project, door: Door | None) -> None:
        super().__init__(project, door)
        self._console = Console(highlight=False, soft_wrap=True)

    @contextmanager
    def _loading(self) -> Iterator[Callable[[ModelId], None]]:
        total = len(loaded.models(self.project))
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[last]}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as progress:
            task = progress.add_task("Loading models", total=total, last="")

            def advance(model: ModelId) -> None:
                progress.update(task, advance=1, last=f"{model[0]} {model[1]}")

            yield advance

    def _ready(self) -> None:
        properties = self.project.properties
        self._say(
            f"Ready: inference {properties['inference_address']}, "
            f"management {properties['management_address']}, "
            f"metrics {properties['metrics_address']}/metrics"
        )
        names = {name for name, _ in loaded.models(self.project)}
        lines = [f"  {line}" for line in curl_lines(self.project, names)]
        for line in ["Try, from another shell in this folder:", *lines] if lines else ():
            self._say(line)
        if lines and importlib.util.find_spec("gradio"):
            self._say(f"Or in a browser: {command(self.project)} studio")
        self._say("Ctrl-C stops everything.")
        sys.stdout.flush()

    @contextmanager
    def _watching(self) -> Iterator[Callable[[], None]]:
        with server.console_log(self.project).open("r+", errors="replace") as printed:
            printed.seek(0, os.SEEK_END)

            def show() -> None:
                sys.stdout.write(printed.read())
                sys.stdout.flush()
                if os.fstat(printed.fileno()).st_size > CONSOLE_BYTES:
                    # It has been shown, and all of it is in the other logs, which log4j cuts.
                    printed.seek(0)
                    printed.truncate()

            yield show

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)
