"""What clients meet, read from the server's access log: status and milliseconds of requests.

TorchServe's own counters do not tell versions apart where none is named, nor errors by model.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from marquee.project import Project
from marquee.torchserve.inference import OWN_MARK

LINE = re.compile(
    r'^(?P<time>\S+) \S+ "\S+ (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d+) (?P<ms>\d+)$'
)
TIME = "%Y-%m-%dT%H:%M:%S,%f"
# The ways to ask for a prediction at TorchServe's inference address, the plainest first.
ROUTES = tuple(
    re.compile(route)
    for route in (
        r"/predictions/(?P<model>[^/]+)(?:/(?P<version>[^/]+)(?:/.*)?)?",
        r"/models/(?P<model>[^/]+)/invoke",
        r"/v1/models/(?P<model>[^/]+):predict",
        r"/v2/models/(?P<model>[^/]+)/infer",
        r"/(?P<model>[^/]+)(?:/(?P<version>[^/]+))?/predict",
        # Without a version they say little: an explanation takes its own time.
        r"/explanations/(?P<model>[^/]+)/(?P<version>[^/]+)(?:/.*)?",
    )
)
INVOCATIONS, UNNAMED = "/invocations", ""


@dataclass
class Seen:
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

    @property
    def slowest_seconds(self) -> float:
        """The longest time, in seconds; 0 without any request."""
        return max(self.milliseconds, default=0) / 1000

    def summary(self) -> dict[str, float]:
        """Return what is worth keeping."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "refused": self.refused,
            "median_ms": self.median_ms,
            "max_ms": 1000 * self.slowest_seconds,
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

    def count(self, seen: Seen, line: str, since: datetime = datetime.min) -> None:
        """Add a line to what was seen, if this model was asked, and not before ``since``.

        A line is written at a request's end.
        """
        if self.model not in line and INVOCATIONS not in line:
            return
        found = LINE.match(line)
        asked = _asked(found["target"], int(found["status"])) if found else None
        if found is None or asked is None or asked[0] not in (self.model, UNNAMED):
            return
        if _begun(found) < since:
            return
        version = asked[1]
        if version is not None:
            seen.pinned[version] = seen.pinned.get(version, 0) + 1
            return
        seen.milliseconds.append(int(found["ms"]))
        status = int(found["status"])
        seen.failed += status >= 500
        seen.refused += 400 <= status < 500


def _begun(line: re.Match[str]) -> datetime:
    """Return when a request came; now, if its line has no time that can be read."""
    try:
        ended = datetime.strptime(line["time"], TIME)
    except ValueError:
        return datetime.now()
    return ended - timedelta(milliseconds=int(line["ms"]))


def _asked(target: str, status: int) -> tuple[str, str | None] | None:
    """Return the model and the version that a client's target names; None if it asks no model.

    ``/invocations`` need not name one: TorchServe then answers for the only model it was started
    with, and with 400 if there are several.
    """
    parts = urlsplit(target)
    if parts.query == OWN_MARK:
        return None
    if parts.path.rstrip("/") == INVOCATIONS:
        named = dict(parse_qsl(parts.query))
        if "model_name" not in named and status == 400:
            return None
        return named.get("model_name", UNNAMED), named.get("model_version")
    for route in ROUTES:
        if found := route.fullmatch(parts.path.rstrip("/")):
            return found["model"], found.groupdict().get("version")
    return None


class Follower:
    """Reads a log on and on, each line once."""

    def __init__(self, log: AccessLog, mark: Mark) -> None:
        self._log = log
        self._place = mark.byte
        self._since = mark.moment
        self._seen = Seen()

    def seen(self) -> Seen:
        """Return everything up to now."""
        lines, self._place = self._log.read(self._place)
        for line in lines:
            self._log.count(self._seen, line, self._since)
        return self._seen
