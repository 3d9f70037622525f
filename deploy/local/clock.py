"""When the parts of the cloud did what: for the table that ``marquee cloud demo`` prints."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone

KEPT = 10_000


@dataclass(frozen=True)
class TimedRun:
    """One run of one part.

    Attributes:
        stage: what ran, such as ``function`` or ``endpoint``.
        name: which one.
        began: seconds since the epoch.
        seconds: how long.
    """

    stage: str
    name: str
    began: float
    seconds: float


def moment(seconds: float | None = None) -> str:
    """Return a time, by default now, as AWS writes it."""
    at = datetime.fromtimestamp(time.time() if seconds is None else seconds, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """The latest spans; old ones are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: deque[TimedRun] = deque(maxlen=KEPT)

    @contextmanager
    def timed(self, stage: str, name: str) -> Iterator[None]:
        """Note how long the block takes, however it ends."""
        began = time.time()
        try:
            yield
        finally:
            with self._lock:
                self._spans.append(TimedRun(stage, name, began, time.time() - began))

    def since(self, moment: float) -> list[TimedRun]:
        """Return what began after ``moment``, in order."""
        with self._lock:
            found = [span for span in self._spans if span.began >= moment]
        return sorted(found, key=lambda span: span.began)
