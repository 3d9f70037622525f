"""Reads what has arrived from TorchServe in one go, where its worker asks for every number alone.

TorchServe 0.12's worker makes two system calls for each name and each value of a header, some
forty a request, and lays a long body out anew with every piece that arrives.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

PROTOCOL = "ts.protocol.otf_message_handler"
READ = "_retrieve_buffer"
BLOCK = 1 << 16

Read = Callable[[socket.socket, int], bytearray]


class ReadAhead:
    """Stands in for TorchServe's function that reads a number of bytes from its connection.

    A worker has one connection, and one thread that reads from it.
    """

    def __init__(self, plain: Read) -> None:
        """``plain`` is TorchServe's own: it knows what to do when the connection has ended."""
        self._plain = plain
        self._held = b""
        self._at = 0

    def __call__(self, connection: socket.socket, length: int) -> bytearray:
        """Return the next ``length`` bytes; waits for them."""
        stop = self._at + length
        if stop > len(self._held):
            return self._read(connection, length)
        piece = bytearray(self._held[self._at : stop])
        self._at = stop
        return piece

    def _read(self, connection: socket.socket, length: int) -> bytearray:
        data = bytearray(length)
        filled = len(self._held) - self._at
        data[:filled] = self._held[self._at :]
        self._held, self._at = b"", 0
        while length - filled >= BLOCK:
            # A long body goes where it stays.
            read = connection.recv_into(memoryview(data)[filled:])
            filled += read or len(self._plain(connection, 1))
        while filled < length:
            self._held = connection.recv(BLOCK) or bytes(self._plain(connection, 1))
            self._at = min(length - filled, len(self._held))
            data[filled : filled + self._at] = self._held[: self._at]
            filled += self._at
        return data


def read_ahead() -> None:
    """Have this worker's messages read in large pieces; without TorchServe there are none."""
    protocol = sys.modules.get(PROTOCOL)
    plain = getattr(protocol, READ, None)
    if plain is not None and not isinstance(plain, ReadAhead):
        setattr(protocol, READ, ReadAhead(plain))
