"""What clients met in the last minutes, by version: read from the server's access log.

TorchServe, the front door and a Ray server all write it: a canary's requests name their version
there, whatever their clients wrote.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from marquee.front.traffic import percentile
from marquee.project import Project
from marquee.torchserve.inference import OWN_MARK
from marquee.torchserve.loglines import News, access, stamped
from marquee.versions import history
from marquee.versions.history import Record
from marquee.versions.traffic import TIME

WINDOW_SECONDS = 300
BIN_SECONDS = 5
# Of a log that nobody has looked at for long, the last so many bytes are read: ten thousands of
# requests.
MOST_BYTES = 4 << 20

DefaultAt = Callable[[float], str]


@dataclass(frozen=True)
class Point:
    """A version's requests in a stretch of time.

    Attributes:
        at: its end, in seconds before now: 0 is now, 300 five minutes ago.
        rate: answers a second.
        failed: answers of 500 and more, a second.
        p50, p95: milliseconds of all its answers; None without any.
    """

    at: float
    rate: float
    failed: float
    p50: float | None = None
    p95: float | None = None


@dataclass
class _Bin:
    milliseconds: list[int] = field(default_factory=list)
    failed: int = 0


class LiveTraffic:
    """The requests of the last minutes; read on as often as somebody looks, by whoever does.

    Predictions alone: an explanation takes its own time. What marquee itself asks is left out.
    """

    def __init__(self, project: Project) -> None:
        self._log = project.logs / "access_log.log"
        self._news: News | None = None
        self._reading = threading.Lock()
        # By number of the stretch, model and version.
        self._bins: defaultdict[tuple[int, str, str], _Bin] = defaultdict(_Bin)

    def read(self, default_at: Callable[[str], DefaultAt | None], now: float | None = None) -> None:
        """Count what was written since the last time.

        Args:
            default_at: gives for a model ("": where a request names none) which version was its
                default when; None for a model that nobody knows.
            now: Unix time, if not that of the clock.
        """
        oldest = int(((now or time.time()) - WINDOW_SECONDS) // BIN_SECONDS)
        with self._reading:
            if self._news is None:
                self._news = News(self._log, back=MOST_BYTES, most=MOST_BYTES)
            for line in self._news.lines():
                self._count(line, default_at)
            for key in [key for key in self._bins if key[0] < oldest]:
                del self._bins[key]

    def _count(self, line: str, default_at: Callable[[str], DefaultAt | None]) -> None:
        request, ended = access(line), _ended(line)
        asked = None if request is None or request.query == OWN_MARK else request.model()
        if request is None or asked is None or ended is None or request.explains:
            return
        model, version = asked
        default = default_at(model)
        if default is None:
            return
        key = (int(ended // BIN_SECONDS), model, version or default(ended))
        counted = self._bins[key]
        counted.milliseconds.append(request.milliseconds)
        counted.failed += request.status >= 500

    def versions(self, model: str, *, alone: bool = False) -> list[str]:
        """Return who of a model answered; ``alone``: requests that name no model count as well."""
        with self._reading:
            return sorted({key[2] for key in self._bins if _is_of(key, model, alone=alone)})

    def points(
        self, model: str, version: str, *, alone: bool = False, now: float | None = None
    ) -> list[Point]:
        """Return a version's requests, the oldest first, up to the last whole stretch of time."""
        last = int((now or time.time()) // BIN_SECONDS)
        found = []
        for number in range(last - WINDOW_SECONDS // BIN_SECONDS, last):
            with self._reading:
                bins = [
                    one
                    for key, one in self._bins.items()
                    if key[0] == number and key[2] == version and _is_of(key, model, alone=alone)
                ]
            found.append(_point((last - number - 1) * BIN_SECONDS, bins))
        return found


def _is_of(key: tuple[int, str, str], model: str, *, alone: bool) -> bool:
    return key[1] == model or (alone and key[1] == "")


def _point(at: float, bins: Iterable[_Bin]) -> Point:
    times = sorted(float(one) for each in bins for one in each.milliseconds)
    failed = sum(each.failed for each in bins)
    return Point(
        at=at,
        rate=len(times) / BIN_SECONDS,
        failed=failed / BIN_SECONDS,
        p50=percentile(times, 0.50),
        p95=percentile(times, 0.95),
    )


def _ended(line: str) -> float | None:
    """Return the Unix time of a line; None where it has none."""
    head = stamped(line)
    try:
        return datetime.strptime(head.time, TIME).timestamp() if head else None
    except ValueError:
        return None


def default_at(records: Iterable[Record], now: str) -> DefaultAt:
    """Return which version was a model's default at a Unix time, as its history tells.

    Args:
        records: of the model, the oldest first.
        now: its default version.
    """
    # Each with the version that it took over from, the newest first.
    moves = [move for record in records for move in _moves(record)][::-1]

    def at(moment: float) -> str:
        version = now
        for moved, before in moves:
            if moment >= moved:
                break
            version = before
        return version

    return at


def _moves(record: Record) -> list[tuple[float, str]]:
    """Return when a change moved the default, and from which version; back again as well."""
    switch = next((one for one in record.get("steps", []) if one["step"] == "switch"), None)
    if switch is None or "from" not in record:
        return []
    moves = [(switch["at"] + switch["seconds"], record["from"])]
    if record["outcome"] != history.DONE:
        ended = datetime.fromisoformat(record["when"]).timestamp()
        moves.append((ended, record["to"]))
    return moves
