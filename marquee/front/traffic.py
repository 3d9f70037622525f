"""What the front's log lines say of each model: how many, how many failed, how fast."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# So many requests back an error rate and a percentile look.
WINDOW = 500
# A client may name any number of models and versions; real ones are fewer.
NAMES = 1000
DEFAULT, CANARY, PINNED = "default", "canary", "pinned"


@dataclass(frozen=True)
class Summary:
    """The requests of one side of a canary.

    Attributes:
        requests, errors: since it began; an error is a 5xx, or no answer at all.
        recent: how many requests the following are of, the last 500 at most.
        error_rate: share of errors, 0 to 1.
        refused_rate: share of those answered with 400 to 499, 0 to 1.
        p50, p95: milliseconds to the first byte of an answer; None before there is one.
    """

    requests: int = 0
    errors: int = 0
    recent: int = 0
    error_rate: float = 0.0
    p50: float | None = None
    p95: float | None = None
    refused_rate: float = 0.0


@dataclass
class _Arm:
    requests: int = 0
    errors: int = 0
    last_success: float | None = None
    statuses: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    milliseconds: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, status: int, milliseconds: float) -> None:
        self.requests += 1
        self.errors += _is_failure(status)
        self.statuses.append(status)
        if not _is_failure(status):
            self.milliseconds.append(milliseconds)
        if status == 200:
            self.last_success = time.monotonic()

    def summary(self) -> Summary:
        recent = len(self.statuses)
        refused = sum(400 <= status < 500 for status in self.statuses)
        ordered = sorted(self.milliseconds)
        return Summary(
            requests=self.requests,
            errors=self.errors,
            recent=recent,
            error_rate=sum(map(_is_failure, self.statuses)) / recent if recent else 0.0,
            refused_rate=refused / recent if recent else 0.0,
            p50=percentile(ordered, 0.50),
            p95=percentile(ordered, 0.95),
        )


def _is_failure(status: int) -> bool:
    return status < 200 or status >= 500  # -1: the client gave up waiting


class Traffic:
    """Counts requests as HAProxy logs them; written by one thread, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By model, version and arm.
        self._arms: defaultdict[tuple[str, ...], _Arm] = defaultdict(_Arm)

    def add(self, line: str) -> None:
        """Count a log line, if it is one of a request to a model."""
        try:
            entry = json.loads(line)
        except ValueError:
            return  # HAProxy's own messages
        if not isinstance(entry, dict) or entry.get("arm") not in (DEFAULT, CANARY, PINNED):
            return
        # Requests that name no version are answered by whatever is the default.
        version = "" if entry["arm"] == DEFAULT else str(entry["version"])
        with self._lock:
            arm = self._arm(str(entry["model"]), version, entry["arm"])
            arm.add(int(entry["status"]), float(entry["server_ms"]))

    def _arm(self, *key: str) -> _Arm:
        """Return what is counted under a name; forget those without any success when too many."""
        if key not in self._arms and len(self._arms) >= NAMES:
            for other in [one for one, arm in self._arms.items() if arm.last_success is None]:
                del self._arms[other]
        return self._arms[key]

    def reset(self, model: str) -> None:
        """Count a model's requests from zero."""
        with self._lock:
            for key in [key for key in self._arms if key[0] == model]:
                del self._arms[key]

    def summary(self, model: str, version: str = "") -> Summary:
        """Return what the default answered, or the canary ``version``."""
        with self._lock:
            return self._arms[model, version, CANARY if version else DEFAULT].summary()

    def last_success(self, model: str, version: str = "") -> float | None:
        """Return when the default (or ``version``) last answered 200, by ``time.monotonic``."""
        with self._lock:
            found = [
                arm.last_success
                for key, arm in self._arms.items()
                if key[:2] == (model, version) and arm.last_success is not None
            ]
        return max(found, default=None)


def percentile(ordered: list[float], share: float) -> float | None:
    """Return the value below which ``share`` of the sorted values lie (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def as_json(default: Summary, canary: Summary) -> dict[str, Any]:
    """Return both sides, to be read by :func:`from_json`."""
    return {DEFAULT: asdict(default), CANARY: asdict(canary)}


def from_json(sides: Mapping[str, Any]) -> tuple[Summary, Summary]:
    """Return the default's side and the canary's."""
    return Summary(**sides[DEFAULT]), Summary(**sides[CANARY])
