"""Talk to a running HAProxy over its Unix sockets."""

from __future__ import annotations

import fcntl
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from marquee.errors import MarqueeError
from marquee.front.config import read_map, write_map

SECONDS = 5
BACKEND = "models"
# The table of requests in flight by "turn/model/version".
TAKEN = "taken"


def command(address: Path, text: str) -> str:
    """Send commands (separated by ``;``) to a runtime socket, and return the answer.

    Raises:
        MarqueeError: nobody answers there.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(address))
            connection.sendall(text.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            parts = [*iter(lambda: connection.recv(1 << 16), b"")]
        except OSError as error:
            raise MarqueeError(
                f"the front door does not answer at {address} ({error}); start it: "
                "marquee serve --front"
            ) from error
    return b"".join(parts).decode(errors="replace").strip()


class RuntimeMap:
    """A map of the running HAProxy, and the file from which its next process reads it.

    Args:
        admin: HAProxy's runtime socket.
        path: the map's file, which is its name too.
    """

    def __init__(self, admin: Path, path: Path) -> None:
        self._admin = admin
        self._path = path

    def set(self, entries: dict[str, str]) -> None:
        """Add or change entries, at once and for later; values without spaces and ``;``."""
        with self.locked() as present:
            lines = [
                f"{'set' if key in present else 'add'} map {self._path} {key} {value}"
                for key, value in entries.items()
            ]
            write_map(self._path, present | entries)
            self._run("; ".join(lines))

    def remove(self, key: str) -> None:
        """Remove an entry; one that is not there is fine."""
        with self.locked() as present:
            if present.pop(key, None) is not None:
                write_map(self._path, present)
                self._run(f"del map {self._path} {key}")

    def count_up(self, key: str) -> int:
        """Add one to an entry that is a number, and return it."""
        with self.locked() as present:
            number = int(present.get(key, "0")) + 1
            write_map(self._path, present | {key: str(number)})
            self._run(f"{'set' if key in present else 'add'} map {self._path} {key} {number}")
        return number

    @contextmanager
    def locked(self) -> Iterator[dict[str, str]]:
        """Lend the entries to one at a time: the keeper and the commands work side by side."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield read_map(self._path)

    def read(self) -> dict[str, str]:
        """Return the entries."""
        return read_map(self._path)

    def _run(self, text: str) -> None:
        said = command(self._admin, text)
        if said:
            raise MarqueeError(f"the front door did not take '{text[:200]}': {said}")


def in_flight(master: Path) -> int:
    """Return how many inference requests the processes of a door have in their hands.

    Processes from before a reload count as well, until they have answered what they took.
    """
    total = 0
    for pid in worker_pids(master):
        for row in command(master, f"@!{pid} show stat {BACKEND} 2 -1").splitlines():
            fields = row.split(",")
            if fields[0] == BACKEND:
                total += int(fields[4])
    return total


def taken(master: Path) -> Mapping[tuple[str, ...], int]:
    """Return how many requests the processes of a door have in hand, by turn, model and version.

    Model and version are empty where the request did not name them.

    Raises:
        MarqueeError: it does not count them.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for pid in worker_pids(master):
        shown = command(master, f"@!{pid} show table {TAKEN} data.conn_cur gt 0")
        if f"table: {TAKEN}" not in shown:
            raise MarqueeError(f"the front door has no table {TAKEN}; restart the server")
        for line in shown.splitlines():
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "key" in words:
                counts[tuple(words["key"].split("/", 2))] += int(words["conn_cur"])
    return counts


def worker_pids(master: Path) -> list[int]:
    """Return the process ids of the working processes, the current one first."""
    rows = (line.split() for line in command(master, "show proc").splitlines())
    return [int(row[0]) for row in rows if len(row) > 1 and row[1] == "worker"]


def in_flight_of(admin: Path, table: str, key: str) -> int:
    """Return how many requests a table counts for ``key`` now."""
    for line in command(admin, f"show table {table} key {key}").splitlines():
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if words.get("key") == key:
            return int(words["conn_cur"])
    return 0
