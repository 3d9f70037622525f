"""Lines for the project's logs, from wherever in the cluster; its hub writes them down.

TorchServe's files and formats, so that ``marquee logs`` and those who judge a version read them.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections import deque
from datetime import datetime
from typing import Any, TextIO

ACCESS, MODEL, FRONT = "access_log.log", "model_log.log", "front.log"
BUNDLE_SECONDS = 0.05
# Of one process, where nobody writes them down: the oldest go.
WAITING_LINES = 10_000


class Teller:
    """Hands a process's lines on in bundles; whoever tells one does not wait."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._lines: deque[tuple[str, str]] = deque(maxlen=WAITING_LINES)
        threading.Thread(target=self._run, name="teller", daemon=True).start()

    def tell(self, file: str, line: str) -> None:
        """Have a line written, soon."""
        self._lines.append((file, line))

    def _run(self) -> None:
        while True:
            time.sleep(BUNDLE_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Send what is there."""
        found: dict[str, list[str]] = {}
        for _ in range(len(self._lines)):
            file, line = self._lines.popleft()
            found.setdefault(file, []).append(line)
        for file, lines in found.items():
            self._hub.tell.remote(file, lines)


class _Stream(io.TextIOBase):
    """Takes the place of a stream: what is written there is told, a line at a time, as well."""

    def __init__(self, teller: Teller, before: TextIO, head: str) -> None:
        self._teller, self._before, self._head = teller, before, head
        self._part = ""
        self._writing = threading.Lock()

    def write(self, text: str) -> int:
        self._before.write(text)
        with self._writing:
            *whole, self._part = (self._part + text).split("\n")
            for line in whole:
                self._teller.tell(MODEL, f"{stamp()} {self._head} {line}")
        return len(text)

    def flush(self) -> None:
        self._before.flush()


def capture(teller: Teller, worker: int, model: str, version: str) -> None:
    """Have all that this process prints and logs told, as lines of a TorchServe worker's.

    Args:
        worker: a number that names the process in the log.
    """
    label = f"W-{worker}-{model}_{version}"
    sys.stdout = _Stream(teller, sys.stdout, f"INFO  {label}-stdout")
    sys.stderr = _Stream(teller, sys.stderr, f"WARN  {label}-stderr")
    # As in TorchServe's worker.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO, force=True)


def stamp() -> str:
    """Return the local time as TorchServe's logs have it."""
    return datetime.now().isoformat(timespec="milliseconds").replace(".", ",")
