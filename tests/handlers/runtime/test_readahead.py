"""Messages of TorchServe's protocol, in whatever pieces they arrive."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ts.protocol import otf_message_handler

from handlers.runtime.readahead import BLOCK, READ, ReadAhead, read_ahead

LONG = bytes(range(256)) * 4096  # 1 MiB
BODIES = [b"", b"short", LONG, b"x" * BLOCK, b"y" * (BLOCK - 1), LONG[1:]]


def sized(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data


def message(body: bytes) -> bytes:
    """A batch of two requests, as Java writes it."""
    request = sized(b"an id") + sized(b"Accept") + sized(b"*/*") + struct.pack("!i", -1)
    request += sized(b"body") + sized(b"image/png") + sized(body) + struct.pack("!i", -1)
    return b"I" + 2 * request + struct.pack("!i", -1)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> ReadAhead:
    """TorchServe's own reading, with ours below it."""
    reader = ReadAhead(otf_message_handler._retrieve_buffer)
    monkeypatch.setattr(otf_message_handler, READ, reader)
    return reader


@pytest.mark.parametrize("piece", [1 << 10, (1 << 16) + 1, 1 << 30])
def test_torchserve_reads_what_was_sent(
    ends: tuple[socket.socket, socket.socket], reader: ReadAhead, piece: int
) -> None:
    here, there = ends
    sent = b"".join(map(message, BODIES))

    def send() -> None:
        for start in range(0, len(sent), piece):
            there.sendall(sent[start : start + piece])

    sender = threading.Thread(target=send)
    sender.start()
    for body in BODIES:
        command, requests = otf_message_handler.retrieve_msg(here)
        assert command == b"I"
        for request in requests:
            assert request["requestId"] == b"an id"
            assert request["headers"] == [{"name": b"Accept", "value": b"*/*"}]
            (parameter,) = request["parameters"]
            assert parameter["value"] == body
            assert type(parameter["value"]) is bytearray
    sender.join()


def test_a_message_byte_by_byte(
    ends: tuple[socket.socket, socket.socket], reader: ReadAhead
) -> None:
    here, there = ends
    for number in message(b"some body"):
        there.sendall(bytes([number]))
    assert len(otf_message_handler.retrieve_msg(here)[1]) == 2


@pytest.mark.parametrize("length", [1, 10, 2 * BLOCK])
def test_a_connection_that_ends_is_torchserves_matter(
    ends: tuple[socket.socket, socket.socket], reader: ReadAhead, length: int
) -> None:
    here, there = ends
    there.sendall(b"")
    there.close()
    with pytest.raises(SystemExit):
        reader(here, length)


def test_it_is_put_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Any = otf_message_handler._retrieve_buffer
    monkeypatch.setattr(otf_message_handler, READ, plain)  # and back again after the test
    read_ahead()
    first = otf_message_handler._retrieve_buffer
    assert isinstance(first, ReadAhead)
    read_ahead()
    assert otf_message_handler._retrieve_buffer is first


def test_without_torchserve_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ts.protocol.otf_message_handler")
    read_ahead()
    assert "ts.protocol.otf_message_handler" not in sys.modules
