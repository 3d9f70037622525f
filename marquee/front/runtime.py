"""Ask a running HAProxy over its Unix sockets."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from marquee.errors import MarqueeError

SECONDS = 5
BACKEND = "models"
# The table of requests in flight by "epoch/model/version".
IN_FLIGHT = "in_flight"


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


def answers(address: Path) -> bool:
    """Whether a process takes commands there."""
    try:
        return bool(command(address, "show info"))
    except MarqueeError:
        return False


def worker_pids(master: Path) -> list[int]:
    """Return the process ids of the working processes, the current one first."""
    rows = (line.split() for line in command(master, "show proc").splitlines())
    return [int(row[0]) for row in rows if len(row) > 1 and row[1] == "worker"]


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


def in_flight_by_version(master: Path) -> Mapping[tuple[str, ...], int]:
    """Return how many requests the processes have in hand, by epoch, model and version.

    Model and version are empty where the request did not name them.

    Raises:
        MarqueeError: they do not count them.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for pid in worker_pids(master):
        table = command(master, f"@!{pid} show table {IN_FLIGHT} data.conn_cur gt 0")
        if f"table: {IN_FLIGHT}" not in table:
            raise MarqueeError(f"the front door has no table {IN_FLIGHT}; restart the server")
        for line in table.splitlines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "key" in fields:
                counts[tuple(fields["key"].split("/", 2))] += int(fields["conn_cur"])
    return counts
