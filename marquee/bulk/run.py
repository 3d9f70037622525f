"""A run: threads that have workers answer what the feed gives, and one that writes the rows."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marquee import interrupts
from marquee.bulk.feed import Feed, Names
from marquee.bulk.inputs import Listing
from marquee.bulk.items import Item, Reply, Result
from marquee.bulk.results import Results, Row, recovered
from marquee.errors import MarqueeError

WAIT_SECONDS = 0.1
# A server that is busy, or a handler that failed on another input of the batch.
BUSY = 503
# Failures that a report names.
NAMED = 5
Ask = Callable[[list[Item]], Reply]


@dataclass
class BatchReport:
    """What came of a batch, so far.

    Attributes:
        model, version: that was asked.
        table: with a row for each input.
        before: rows that were there already.
        inputs: rows that are there now.
        failed: those of them that have no answer.
        total: of all inputs; None as long as they are not counted.
        seconds: that this run took.
        failures: some inputs of this run that have no answer, and why.
        interrupted: whether it was told to stop.
    """

    model: str
    version: str
    table: Path
    before: int = 0
    inputs: int = 0
    failed: int = 0
    total: int | None = None
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False

    def count(self, rows: Sequence[Row]) -> None:
        """Take rows of this run into account."""
        self.inputs += len(rows)
        failed = [row for row in rows if row["error"] is not None]
        self.failed += len(failed)
        room = NAMED - len(self.failures)
        self.failures += [f"{row['input']}: {row['error']}" for row in failed[:room]]

    @property
    def rate(self) -> float:
        """Inputs a second of this run."""
        return (self.inputs - self.before) / self.seconds if self.seconds else 0.0


class Run:
    """A run over the inputs that have no row yet.

    Held at once are the batches that are with the workers (two each, with their answers), and rows
    without answers' files of as many.

    Args:
        listing: lists the inputs.
        out: gets their rows.
        report: counts them.
        progress: is told of it after each batch.
    """

    def __init__(
        self,
        listing: Listing,
        out: Results,
        report: BatchReport,
        progress: Callable[[BatchReport], None],
    ) -> None:
        self.report = report
        self._listing, self._out, self._progress = listing, out, progress
        self._names = Names()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        for row in recovered(out.table):
            self._names.add(row["input"])
            report.before += 1
            report.failed += row["error"] is not None
        report.inputs = report.before

    def go(self, asks: Sequence[Ask], batch: int) -> None:
        """Have all inputs answered, or those up to a signal.

        Args:
            asks: each has one worker answer a batch, and is called by a thread of its own.
            batch: how many inputs a batch has at the most.

        Raises:
            MarqueeError, OSError: what no other input could overcome.
        """
        began = time.monotonic()
        self._feed = Feed(self._listing(), self._names, batch)
        self._done: queue.Queue[list[Row] | Exception] = queue.Queue(len(asks))
        working = [self._started(self._work, ask) for ask in asks]
        self._started(self._count)
        try:
            while any(one.is_alive() for one in working) or not self._done.empty():
                interrupts.check()
                self._write()
                self.report.seconds = time.monotonic() - began
                self._progress(self.report)
        except interrupts.Interrupted:
            self.report.interrupted = True
        finally:
            self._stopped.set()
            self._feed.stop()

    def close(self) -> None:
        """Wait for all threads, whose workers have ended."""
        for one in self._threads:
            one.join()
        self._names.close()

    def _started(self, target: Callable[..., None], *words: Ask) -> threading.Thread:
        thread = threading.Thread(target=target, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _count(self) -> None:
        """Count the inputs, beside the work: only then can the time that is left be told."""
        total = 0
        try:
            for _ in self._listing():
                total += 1
                if self._stopped.is_set():
                    return
        except (MarqueeError, OSError):
            return  # who lists them to be asked says so
        self.report.total = total

    def _write(self) -> None:
        try:
            rows = self._done.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            return
        if isinstance(rows, Exception):
            raise rows
        self._out.add(rows)
        self.report.count(rows)

    def _work(self, ask: Ask) -> None:
        try:
            while batch := self._feed.take():
                self._put(self._settled(batch, ask(batch)))
        except Exception as error:  # noqa: BLE001 - raised where the rows are written
            self._put(error)

    def _put(self, done: list[Row] | Exception) -> None:
        while not self._stopped.is_set():
            try:
                self._done.put(done, timeout=WAIT_SECONDS)
            except queue.Full:
                continue
            return

    def _settled(self, batch: list[Item], reply: Reply) -> list[Row]:
        """Return rows, and have asked again what has none yet.

        What a worker died of, or failed as a whole, is asked once more without others: one of them
        is to blame, and the others are not.
        """
        left = {item.name: item for item in batch}
        rows, alone = [], []
        for result in reply.results:
            item = left.pop(result.name)
            if result.status == BUSY and not item.alone:
                alone.append(item)
                self._stopped.wait(result.again_after)
            else:
                rows.append(self._out.row(result))
        if reply.blamed:
            rows += [self._given_up(item, reply) for item in left.values() if item.alone]
            alone += [item for item in left.values() if not item.alone]
        else:
            self._feed.put_back([*left.values()])
        self._feed.put_back_alone(alone)
        return rows

    def _given_up(self, item: Item, reply: Reply) -> Row:
        problem = f"{reply.died} when it was asked, and again when it was asked alone"
        return self._out.row(Result(item.name, problem=problem))
