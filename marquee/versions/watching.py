"""Watch a version that has just become the default: its answers, its clients, its queue."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marquee.archives.example import ArchiveRequest, ExampleRequest
from marquee.errors import MarqueeError
from marquee.interrupts import pause
from marquee.torchserve.management import Management
from marquee.versions.judgement import Options, worse
from marquee.versions.probe import Probe
from marquee.versions.traffic import Follower, Seen

POLL_SECONDS = 0.5
ASK_SECONDS = 1.0
# A watched version may miss one answer; two in a row send it back.
MISSES = 2
# A queue that fills so far will be full soon, and then requests are refused.
QUEUE_SHARE = 0.5


@dataclass(frozen=True)
class Watch:
    """What is watched.

    Attributes:
        api, name, version: the new default.
        options: what it must stand.
        asked: requests with known answers.
        before: how clients fared with the old version.
        waiting: how many requests waited for the old version.
    """

    api: Management
    name: str
    version: str
    options: Options
    asked: Sequence[ArchiveRequest]
    before: Seen
    waiting: int

    def run(self, after: Follower, connect: Callable[[], Probe]) -> Seen:
        """Return how clients fared, after the time that the options say.

        Raises:
            MarqueeError: the version does worse than the old one.
        """
        asker = _Asker(connect, self.asked)
        asker.start()
        deadline = time.monotonic() + self.options.watch_seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                pause(min(POLL_SECONDS, left))
                self._judge(after.seen(), asker)
        finally:
            asker.stop()
        return after.seen()

    def _judge(self, seen: Seen, asker: _Asker) -> None:
        proven = any(not isinstance(question, ExampleRequest) for question in self.asked)
        problem = worse(self.before, seen, self.options, proven=proven)
        problem = problem or self._piled_up() or asker.problem
        if problem is not None:
            raise MarqueeError(f"{self.name} {self.version} does worse: {problem}")

    def _piled_up(self) -> str | None:
        found = self.api.describe(self.name, self.version)
        if found is None or found.pending <= max(QUEUE_SHARE * found.queue, 2 * self.waiting):
            return None
        return (
            f"it is too slow: {found.pending} requests wait in its queue of {found.queue}, for "
            f"the old version waited {self.waiting}"
        )


class _Asker(threading.Thread):
    """Asks on its own, so that a version that hangs cannot hold up the way back."""

    def __init__(self, connect: Callable[[], Probe], asked: Sequence[ArchiveRequest]) -> None:
        super().__init__(daemon=True)
        self._connect, self._asked = connect, asked
        self._over = threading.Event()
        self.problem: str | None = None

    def run(self) -> None:
        """Ask in turns, until told to stop or too many answers in a row were missed."""
        try:
            self._ask_on()
        except Exception as error:  # noqa: BLE001 - a version that nobody asks must not pass
            self.problem = f"it could not be asked ({type(error).__name__}: {error})"

    def _ask_on(self) -> None:
        misses = 0
        with self._connect() as probe:
            for question in itertools.cycle(self._asked):
                if self._over.wait(ASK_SECONDS):
                    return
                try:
                    probe.ask(question, None)
                    misses = 0
                except MarqueeError as error:
                    misses += 1
                    if misses == MISSES:
                        self.problem = f"{error} (asked {MISSES} times)"
                        return

    def stop(self) -> None:
        """Ask no more; an answer that is still to come is not waited for."""
        self._over.set()
