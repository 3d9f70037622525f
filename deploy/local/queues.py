"""Work that nobody waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

log = logging.getLogger(__name__)


class Queues:
    """A queue for each key, worked off by as many threads as it is allowed at once.

    Attributes:
        closed: whether nothing is taken any more.
    """

    def __init__(self) -> None:
        self.closed = False
        self._lock = threading.Lock()
        self._queues: dict[Hashable, ThreadPoolExecutor] = {}

    def submit(self, key: Hashable, at_once: int, work: Callable[[Any], None], item: Any) -> None:
        """Have a queue do ``work`` with ``item`` some time."""
        with self._lock:
            if self.closed:
                return
            if key not in self._queues:
                self._queues[key] = ThreadPoolExecutor(at_once)
            self._queues[key].submit(work, item).add_done_callback(_log_failure)

    def close(self) -> None:
        """Forget what waits."""
        with self._lock:
            self.closed = True
            queues = [*self._queues.values()]
        for queue in queues:
            queue.shutdown(wait=False, cancel_futures=True)


def _log_failure(run: Future[None]) -> None:
    """Log what only our own code raises: an executor would keep it to itself."""
    if not run.cancelled() and (error := run.exception()) is not None:
        log.error("a request or an event was lost", exc_info=error)
