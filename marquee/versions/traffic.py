"""What clients meet, read from the server's access log: status and milliseconds of requests.

TorchServe's own counters do not tell versions apart where none is named, nor errors by model.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marquee.project import Project
from marquee.torchserve.inference import OWN_MARK
from marquee.torchserve.loglines import Access, News, access, stamped

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


class AccessLog:
    """What the access log of a project's server tells of one model from now on, each line once."""

    def __init__(self, project: Project, model: str) -> None:
        self._model, self._news = model, News(project.logs / "access_log.log")
        self._since = datetime.now()  # the log has the local time, too
        self._stats = RequestStats()

    def stats(self) -> RequestStats:
        """Return everything up to now."""
        for line in self._news.lines():
            self._count(line)
        return self._stats

    def _count(self, line: str) -> None:
        """Add a line to the figures, if this model was asked, and not before the beginning."""
        request = access(line)
        asked = None if request is None or request.query == OWN_MARK else request.model()
        if request is None or asked is None or asked[0] not in (self._model, ""):
            return
        version = asked[1]
        # An explanation takes its own time: it counts where it names the version alone.
        if (version is None and request.explains) or _begun(line, request) < self._since:
            return
        if version is None:
            self._stats.add(request)
        else:
            self._stats.pinned[version] = self._stats.pinned.get(version, 0) + 1


def _begun(line: str, request: Access) -> datetime:
    """Return when a request came; now, if its line has no time that can be read."""
    head = stamped(line)
    try:
        ended = datetime.strptime(head.time if head else "", TIME)
    except ValueError:
        return datetime.now()
    return ended - timedelta(milliseconds=request.milliseconds)
