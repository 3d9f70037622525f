"""What clients meet, read from the server's access log: status and milliseconds of requests.

TorchServe's own counters do not tell versions apart where none is named, nor errors by model.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from marquee.project import Project

LINE = re.compile(r'^(\S+) \S+ "\S+ (\S+) HTTP/[\d.]+" (\d+) (\d+)$')
# Of a log that is long already, no more than this is read back.
TAIL_BYTES = 4 << 20


@dataclass
class Seen:
    """Requests of one model in a stretch of the log.

    Attributes:
        milliseconds: of each that named no version.
        failed: how many of these were answered with 400 or more.
        pinned: how many named each version.
    """

    milliseconds: list[int] = field(default_factory=list)
    failed: int = 0
    pinned: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many named no version."""
        return len(self.milliseconds)

    @property
    def error_share(self) -> float:
        """Failed of all, 0 to 1; 0 without any."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def median_ms(self) -> float:
        """The median time, in milliseconds; 0 without any request."""
        return statistics.median(self.milliseconds) if self.milliseconds else 0.0

    def summary(self) -> dict[str, float]:
        """Return what is worth keeping."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "median_ms": self.median_ms,
            "max_ms": max(self.milliseconds, default=0),
        }


@dataclass
class AccessLog:
    """The access log of a project's server, as far as it tells of one model."""

    path: Path
    model: str

    @classmethod
    def of(cls, project: Project, model: str) -> AccessLog:
        """Return the log that the project's server writes."""
        return cls(project.logs / "access_log.log", model)

    def mark(self) -> int:
        """Return a place to read on from later: the log's length in bytes now."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def since(self, mark: int) -> Seen:
        """Return what came after a mark; from the start of a log that was cut since."""
        seen = Seen()
        for _, path, status, milliseconds in self._lines(mark):
            self._count(seen, path, int(status), int(milliseconds))
        return seen

    def last(self, seconds: float) -> Seen:
        """Return what came in the last seconds."""
        earliest = (datetime.now() - timedelta(seconds=seconds)).isoformat()
        seen = Seen()
        for moment, path, status, milliseconds in self._lines(max(0, self.mark() - TAIL_BYTES)):
            if moment.replace(",", ".") >= earliest:
                self._count(seen, path, int(status), int(milliseconds))
        return seen

    def _lines(self, start: int) -> Iterator[tuple[str, ...]]:
        if not self.path.is_file():
            return
        with self.path.open(errors="replace") as log:
            log.seek(start if start <= self.mark() else 0)
            for line in log:
                if found := LINE.match(line):
                    yield found.groups()

    def _count(self, seen: Seen, target: str, status: int, milliseconds: int) -> None:
        parts = urlsplit(target).path.strip("/").split("/")
        if parts[:2] != ["predictions", self.model]:
            return
        if len(parts) > 2:
            seen.pinned[parts[2]] = seen.pinned.get(parts[2], 0) + 1
            return
        seen.milliseconds.append(milliseconds)
        seen.failed += status >= 400
