"""TorchServe's logs as one: merged by time, filtered, followed."""

from __future__ import annotations

import heapq
import os
import re
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from marquee.archives import listing
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.loglines import Stamped, access, output, stamped

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
FILES = {"access": "access_log.log", "model": "model_log.log", "server": "ts_log.log"}
FOLLOW_SECONDS = 0.5

# What marquee itself asks all the time while it waits for something.
POLLING = re.compile(r'"GET /(?:models|ping|metrics|token)\b[^"]*" 2')

# Model and version by what a worker is called.
Labels = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Line:
    """A line of a log.

    Attributes:
        time: ISO 8601 with milliseconds, local time; a line without one has its predecessor's.
        level: one of ``LEVELS``.
        source: ``access``, ``model`` or ``server``.
        model, version: whom it is about, empty where the line does not say.
        text: the rest.
        story: what the first line of its traceback says, to know the request it belongs to.
    """

    time: str
    level: str
    source: str
    text: str
    model: str = ""
    version: str = ""
    story: str = ""


def logs(
    project: Project,
    model: str | None = None,
    *,
    level: str = "DEBUG",
    request: str | None = None,
    last: int = 50,
    follow: bool = False,
) -> Generator[Line, None, None]:
    """Yield the last lines that are wanted, oldest first; with ``follow``, new ones for ever.

    Successful look-ups of the management address are left out. Rotated files (``*.gz``) are
    not read.

    Args:
        project: whose logs.
        model: only lines about it.
        level: one of ``LEVELS``: only lines as grave as that.
        request: only the story of the answer with this ``x-request-id``.
        last: how many of the lines that are there already.
        follow: go on with what is written from now on.

    Raises:
        MarqueeError: there are no logs.
    """
    known = _labels(project)
    tails = [_Tail(project.logs / name, source, known) for source, name in FILES.items()]
    if not follow and not any(tail.path.is_file() for tail in tails):
        raise MarqueeError(f"there are no logs in {project.logs} yet; start a server: make serve")

    def wanted() -> Iterator[Line]:
        for line in heapq.merge(*(tail.read() for tail in tails), key=lambda line: line.time):
            if (
                (model is None or line.model == model)
                and LEVELS.index(line.level) >= LEVELS.index(level)
                and (request is None or request in f"{line.story}\n{line.text}")
                and not (line.source == "access" and POLLING.search(line.text))
            ):
                yield line

    try:
        yield from deque(wanted(), maxlen=last)
        while follow:
            time.sleep(FOLLOW_SECONDS)
            yield from wanted()
    finally:
        for tail in tails:
            tail.close()


class _Tail:
    """One log file, read on where the last reading ended, also when the file is replaced."""

    def __init__(self, path: Path, source: str, labels: Labels) -> None:
        self.path = path
        self._source, self._labels = source, labels
        self._file: BinaryIO | None = None
        self._part = b""
        self._last = Line("", "INFO", source, "")
        # By model and version: the line before a traceback, and who is in one.
        self._before: dict[tuple[str, str], Line] = {}
        self._inside: set[tuple[str, str]] = set()

    def read(self) -> Iterator[Line]:
        """Yield the lines written since the last time."""
        if self._file is not None:
            yield from self._rest(self._file)
        if self._replaced():
            self.close()
            self._file = self.path.open("rb")
            yield from self._rest(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _replaced(self) -> bool:
        """Whether there is another file than the one that is open: rotated, or a new start."""
        if not self.path.is_file():
            return False
        if self._file is None:
            return True
        status, mine = self.path.stat(), os.fstat(self._file.fileno())
        return status.st_ino != mine.st_ino or status.st_size < self._file.tell()

    def _rest(self, file: BinaryIO) -> Iterator[Line]:
        while text := file.readline():
            self._part += text
            if text.endswith(b"\n"):  # else it is still being written
                whole, self._part = self._part.decode(errors="replace").rstrip("\n"), b""
                yield self._parsed(whole)

    def _parsed(self, text: str) -> Line:
        head = stamped(text)
        if head is None or not head.dated:  # a Java stack trace, or a message of several lines
            return replace(self._last, text=text, story=self._last.story or self._last.text)
        self._last = self._with_story(_parse(self._source, head, self._labels))
        return self._last

    def _with_story(self, line: Line) -> Line:
        """Give each line of a Python traceback its level, and what the line before it said."""
        key = (line.model, line.version)
        before = self._before.get(key)
        if line.text.startswith("Traceback (most recent call last)"):
            self._inside.add(key)
        elif key not in self._inside:
            self._before[key] = line
            return line
        # The first line that is not indented tells the exception, and is the last.
        if not line.text.startswith((" ", "Traceback")) and line.text:
            self._inside.discard(key)
        return replace(line, level="ERROR", story=before.text if before else "")


def _labels(project: Project) -> Labels:
    """Return how the workers of each version of the model store are called."""
    try:
        found = [one.manifest for one in listing.scan(project.model_store).archives]
    except MarqueeError:
        return {}  # a store that cannot be read must not keep anybody from reading the logs
    return {f"{one.name}_{one.version}": (one.name, one.version) for one in found}


def _parse(source: str, head: Stamped, labels: Labels) -> Line:
    if source == "access" and (request := access(head.text)):
        level = "INFO" if request.status < 400 else "WARN" if request.status < 500 else "ERROR"
        model, of_version = request.model() or ("", None)
        return Line(head.time, level, source, head.text, model, of_version or "")
    level = {"FATAL": "ERROR", "TRACE": "DEBUG", "": "INFO"}.get(head.level, head.level)
    if source == "model" and (written := output(head)):
        # Of what is not in the store, either may have an underscore itself.
        name, _, number = written.label.rpartition("_")
        model, version = labels.get(written.label, (name, number))
        return Line(head.time, level, source, written.text, model, version)
    return Line(head.time, level, source, head.text)
