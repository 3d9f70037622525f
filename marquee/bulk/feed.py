"""Which inputs are asked next: those of the listing, each once, and those that are asked again."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from marquee.bulk.items import Item

# Bytes that a batch of inputs which are known already may have.
HELD_BYTES = 64 << 20


class Names:
    """The names seen so far: in a file that goes when it is closed, as there may be millions."""

    def __init__(self) -> None:
        # Without a name it lies on the disk, and in memory as far as SQLite's small cache goes.
        self._base = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._base.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
        self._base.execute("BEGIN")

    def add(self, name: str) -> bool:
        """Tell whether a name is new, and keep it.

        Raises:
            OSError: there is no room for it.
        """
        words = "INSERT OR IGNORE INTO names VALUES (?)"
        try:
            return self._base.execute(words, (os.fsencode(name),)).rowcount == 1
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC, str(error), tempfile.gettempdir()) from error

    def close(self) -> None:
        """Let go of all names."""
        self._base.close()


class Feed:
    """Gives out batches of inputs; asked by many threads.

    Args:
        listed: the inputs.
        names: of those that need not be asked; those of the others are added.
        batch: how many inputs a batch has at the most.
    """

    def __init__(self, listed: Iterator[Item], names: Names, batch: int) -> None:
        self._listed, self._names, self._batch = listed, names, batch
        self._lock = threading.Lock()
        self._again: deque[list[Item]] = deque()
        self._stopped = False

    def take(self) -> list[Item]:
        """Return what is to be asked together; nothing at the end."""
        with self._lock:
            if self._stopped:
                return []
            return self._again.popleft() if self._again else self._next()

    def _next(self) -> list[Item]:
        batch, held = [], 0
        for item in self._listed:
            if not self._names.add(item.name):
                continue
            batch.append(item)
            held += len(item.data or b"")
            if len(batch) == self._batch or held > HELD_BYTES:
                break
        return batch

    def put_back(self, items: list[Item]) -> None:
        """Have inputs asked again as they are; by whoever took them, who asks for more then."""
        with self._lock:
            self._again.extend([items] if items else [])

    def put_back_alone(self, items: list[Item]) -> None:
        """Have each of these inputs asked again, without others."""
        with self._lock:
            self._again.extend([replace(item, alone=True)] for item in items)

    def stop(self) -> None:
        """Give out nothing more."""
        with self._lock:
            self._stopped = True
