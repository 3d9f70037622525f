"""What clients meet, read from the server's access log: status and milliseconds of requests.

TorchServe's own counters do not tell versions apart where none is named, nor errors by model.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from marquee.project import Project
from marquee.torchserve.accesslog import Access, access
from marquee.torchserve.inference import OWN_MARK
from marquee.torchserve.loglines import stamped

TIME = "%Y-%m-%dT%H:%M:%S,%f"


@dataclass
class RequestStats:
    """Requests of one model in a stretch of the log, marquee's own questions left out.

    Attributes:
        milliseconds: of each that named no version.
        failed: how many of these the server failed: answered with 500 or more.
        refused: how many were answered with 400 to 499: as a rule, what the client sent.
        pinned: how many named each version.
    """

    milliseconds: list[int] = field(default_factory=list)
    failed: int = 0
    refused: int = 0
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
    def refused_share(self) -> float:
        """Refused of all, 0 to 1; 0 without any."""
        return self.refused / self.requests if self.requests else 0.0

    @property
    def median_ms(self) -> float:
        """The median time, in milliseconds; 0 without any request."""
        return statistics.median(self.milliseconds) if self.milliseconds else 0.0

    def add(self, request: Access) -> None:
        """Count a request that named no version."""
        self.milliseconds.append(request.milliseconds)
        self.failed += request.status >= 500
        self.refused += 400 <= request.status < 500

    def summary(self) -> dict[str, float]:
        """Return what is worth keeping."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "refused": self.refused,
            "median_ms": self.median_ms,
            "max_ms": max(self.milliseconds, default=0),
        }


@dataclass(frozen=True)
class Mark:
    """A place in a log, to read on from.

    Attributes:
        byte: how long the log was.
        moment: when that was; the log has the local time, too.
    """

    byte: int = 0
    moment: datetime = datetime.min


START = Mark()


@dataclass
class AccessLog:
    """The access log of a project's server, as far as it tells of one model."""

    path: Path
    model: str

    @classmethod
    def of(cls, project: Project, model: str) -> AccessLog:
        """Return the log that the project's server writes."""
        return cls(project.logs / "access_log.log", model)

    def mark(self) -> Mark:
        """Return a mark to read on from later."""
        return Mark(self._size(), datetime.now())

    def follow(self, mark: Mark | None = None) -> Follower:
        """Return what tells of all that comes after a mark, by default after now."""
        return Follower(self, self.mark() if mark is None else mark)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def read(self, start: int) -> tuple[list[str], int]:
        """Return the whole lines from a byte on, and where they end; from 0 of a log cut since."""
        if not self.path.is_file():
            return [], 0
        with self.path.open("rb") as log:
            start = start if start <= self._size() else 0
            log.seek(start)
            whole, newline, _ = log.read().rpartition(b"\n")
        return whole.decode(errors="replace").splitlines(), start + len(whole) + len(newline)

    def count(self, stats: RequestStats, line: str, since: datetime = datetime.min) -> None:
        """Add a line to the figures, if this model was asked, and not before ``since``."""
        request = access(line)
        asked = None if request is None or request.query == OWN_MARK else request.model()
        if request is None or asked is None or asked[0] not in (self.model, ""):
            return
        version = asked[1]
        # An explanation takes its own time: it counts where it names the version alone.
        if (version is None and request.explains) or _begun(line, request) < since:
            return
        if version is None:
            stats.add(request)
        else:
            stats.pinned[version] = stats.pinned.get(version, 0) + 1


def _begun(line: str, request: Access) -> datetime:
    """Return when a request came; now, if its line has no time that can be read."""
    head = stamped(line)
    try:
        ended = datetime.strptime(head.time if head else "", TIME)
    except ValueError:
        return datetime.now()
    return ended - timedelta(milliseconds=request.milliseconds)


class Follower:
    """Reads a log on and on, each line once."""

    def __init__(self, log: AccessLog, mark: Mark) -> None:
        self._log = log
        self._place = mark.byte
        self._since = mark.moment
        self._stats = RequestStats()

    def stats(self) -> RequestStats:
        """Return everything up to now."""
        lines, self._place = self._log.read(self._place)
        for line in lines:
            self._log.count(self._stats, line, self._since)
        return self._stats
