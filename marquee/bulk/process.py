"""A worker from outside: a process that is started, asked by two threads, and replaced."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from marquee.archives import trial
from marquee.bulk.items import Item, Orders, Reply, Result
from marquee.errors import MarqueeError
from marquee.scratch import scratch

# One batch is read while another is answered.
SLOTS = 2


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    connections: tuple[Connection, ...]

    def end(self) -> str:
        """Kill the process, if it has not ended by itself, and say how it ended."""
        self.process.kill()
        code = self.process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


@contextmanager
def unpacked(archive: Path | IO[bytes]) -> Iterator[Path]:
    """Lend a folder with the files of an archive that was inspected."""
    with scratch() as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        yield folder


class WorkerProcess:
    """A worker: started when it is asked, and again where it has ended.

    Args:
        folder: the unpacked archive.
        orders: what it has to know.
        log: gets what it says; None leaves that to this process's own stderr.
        title: of its model, for messages.
    """

    def __init__(self, folder: Path, orders: Orders, log: Path | None, title: str) -> None:
        self._folder, self._orders, self._log, self._title = folder, orders, log, title
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._closed = threading.Event()

    def ask(self, slot: int, items: list[Item]) -> Reply:
        """Have inputs answered together, and wait for it.

        Args:
            slot: 0 or 1; each is for one thread.
            items: the batch.

        Raises:
            MarqueeError: the model does not load.
        """
        running = self._started()
        connection, results, blamed = running.connections[slot], list[Result](), False
        try:
            connection.send(items)
            while len(results) < len(items):
                if not connection.poll(self._orders.timeout if blamed else None):
                    running.end()
                    died = f"no answer within {self._orders.timeout:g} s (responseTimeout)"
                    return Reply(results, died, blamed)
                # None when the model begins, then its results.
                said: list[Result] | None = connection.recv()
                blamed = said is None
                results += said or []
        except (EOFError, OSError):
            return Reply(results, f"the worker {running.end()}", blamed)
        return Reply(results)

    def close(self) -> None:
        """End the process; none is started any more."""
        self._closed.set()
        if self._running is not None:
            self._running.end()

    def _started(self) -> _Running:
        with self._lock:
            running = self._running
            if running is None or running.process.poll() is not None:
                running = self._start()
            return running

    def _start(self) -> _Running:
        if self._closed.is_set():
            raise MarqueeError("the workers were ended")
        ours, theirs = zip(*(socket.socketpair() for _ in range(SLOTS)), strict=True)
        numbers = [one.fileno() for one in theirs]
        with self._log.open("ab") if self._log else nullcontext(sys.stderr) as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "marquee.bulk.worker", self._folder, *map(str, numbers)],
                env=trial.environment(self._folder),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=numbers,
                start_new_session=True,  # Ctrl-C is for us
            )
        for one in theirs:
            one.close()
        self._running = _Running(process, tuple(Connection(one.detach()) for one in ours))
        if self._closed.is_set():  # just now, when there was nothing to end
            self._running.end()
        self._await_load(self._running)
        return self._running

    def _await_load(self, running: _Running) -> None:
        first = running.connections[0]
        problem: Any = f"it did not load within {self._orders.startup:g} s (startupTimeout)"
        try:
            first.send(self._orders)
            if first.poll(self._orders.startup):
                problem = first.recv()
        except (EOFError, OSError):
            problem = f"its worker {running.end()}"
        if problem is not None:
            running.end()
            story = self._log or "Ray's log of the worker"
            raise MarqueeError(f"{self._title} does not load: {problem}; {story} has the story")
