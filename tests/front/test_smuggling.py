"""A request that hides another one: what the door lets through can be read in one way only.

The cases are the well-known ones: two lengths, a length and chunks, folded and misspelt headers,
bare line feeds, odd chunks (RFC 9112, sections 5, 6, 7 and 11.2).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from marquee.front.settings import FrontSettings
from tests.front.recorder import Recorder, recorded
from tests.server.test_content_types import SHIP
from tests.support import Running

HIDDEN = b"GET /predictions/hidden HTTP/1.1\r\nHost: a\r\nX: 1"
assert len(HIDDEN) == 47, "the lengths below are its own"
POST = b"POST /predictions/m HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NOTHING = b"0\r\n\r\n"


def _length(body: bytes, name: bytes = b"Content-Length: ") -> bytes:
    return name + str(len(body)).encode() + b"\r\n"


def _te(header: bytes) -> bytes:
    """Return a request with a length, and a header that may mean that there are chunks."""
    body = NOTHING + HIDDEN
    return POST + _length(body) + header + b"\r\n" + body


def _chunks(body: bytes) -> bytes:
    return POST + CHUNKED + b"\r\n" + body


LENGTHS = {
    "a length and chunks": POST + _length(NOTHING + HIDDEN) + CHUNKED + b"\r\n" + NOTHING + HIDDEN,
    "chunks and a length": POST + CHUNKED + b"Content-Length: 4\r\n\r\n2f\r\n" + HIDDEN
    + b"\r\n0\r\n\r\n",
    "two lengths": POST + _length(HIDDEN) + b"Content-Length: 0\r\n\r\n" + HIDDEN,
    "two lengths, the first is none": POST + b"Content-Length: 0\r\n" + _length(HIDDEN) + b"\r\n"
    + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 0, 47\r\n\r\n" + HIDDEN,
    "a length with a plus": POST + b"Content-Length: +47\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hex": POST + b"Content-Length: 0x2f\r\n\r\n" + HIDDEN,
    "a length with a blank": POST + b"Content-Length: 4 7\r\n\r\n" + HIDDEN,
    "a length beyond 64 bits": POST + b"Content-Length: 18446744073709551617\r\n\r\n" + HIDDEN,
    "an empty length": POST + b"Content-Length: \r\n\r\n" + HIDDEN,
    "a blank before the colon": POST + b"Content-Length : 47\r\n\r\n" + HIDDEN,
    "a folded length": POST + b"Content-Length:\r\n 47\r\n\r\n" + HIDDEN,
    "a length in a bare line": POST + b"X: y\nContent-Length: 47\r\n\r\n" + HIDDEN,
    "a length behind a bare return": POST + b"X: y\rContent-Length: 47\r\n\r\n" + HIDDEN,
    "a length with an underscore": POST + b"Content_Length: 47\r\n\r\n" + HIDDEN,
    "a length that is for this hop": POST + b"Connection: Content-Length\r\n" + _length(HIDDEN)
    + b"\r\n" + HIDDEN,
    "a GET with a body": b"GET /predictions/m HTTP/1.1\r\nHost: a\r\n" + _length(HIDDEN) + b"\r\n"
    + HIDDEN,
}  # fmt: skip
CODINGS = {
    name: _te(header)
    for name, header in {
        "a coding that is none": b"Transfer-Encoding: xchunked\r\n",
        "a coding and a blank": b"Transfer-Encoding : chunked\r\n",
        "a blank and a coding": b" Transfer-Encoding: chunked\r\n",
        "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "a list of codings": b"Transfer-Encoding: chunked, identity\r\n",
        "identity first": b"Transfer-Encoding: identity, chunked\r\n",
        "gzip first": b"Transfer-Encoding: gzip, chunked\r\n",
        "a tab": b"Transfer-Encoding:\tchunked\r\n",
        "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
        "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
        "a coding in quotes": b'Transfer-Encoding: "chunked"\r\n',
        "a coding in a bare line": b"X: y\nTransfer-Encoding: chunked\r\n",
        "a coding behind a zero": b"X: y\0\r\nTransfer-Encoding: chunked\r\n",
        "a coding for this hop": b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        "another case": b"tRANSFER-eNCODING: CHUNKED\r\n",
    }.items()
}
CHUNKS = {
    name: _chunks(body + HIDDEN)
    for name, body in {
        "an extension": b"2;a=b\r\nok\r\n" + NOTHING,
        "an extension that hides a line": b'2;a="\n0\r\n\r\n"\r\nok\r\n' + NOTHING,
        "a size in hex with a prefix": b"0x2\r\nok\r\n" + NOTHING,
        "a size with a sign": b"+2\r\nok\r\n" + NOTHING,
        "a size with a blank": b"2 \r\nok\r\n" + NOTHING,
        "a size with an underscore": b"1_0\r\nok\r\n" + NOTHING,
        "a size beyond 64 bits": b"10000000000000002\r\nok\r\n" + NOTHING,
        "a bare line feed behind the size": b"2\nok\r\n" + NOTHING,
        "a bare line feed behind the data": b"2\r\nok\n" + NOTHING,
        "data that are too long": b"2\r\nokok\r\n" + NOTHING,
        "no size": b"\r\nok\r\n" + NOTHING,
        "trailers": b"2\r\nok\r\n0\r\nContent-Length: 47\r\nTransfer-Encoding: chunked\r\n\r\n",
        "a folded trailer": b"2\r\nok\r\n0\r\nX:\r\n y\r\n\r\n",
    }.items()
}
LINES = {
    "no version": b"GET /predictions/m\r\n\r\n" + HIDDEN,
    "another version": b"GET /predictions/m HTTP/1.9\r\nHost: a\r\n\r\n" + HIDDEN,
    "version 2 in letters": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "chunks in HTTP/1.0": b"POST /predictions/m HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n"
    + NOTHING + HIDDEN,
    "two hosts": b"GET /predictions/m HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + HIDDEN,
    "a header with a blank": b"GET /predictions/m HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n" + HIDDEN,
    "a header without a colon": b"GET /predictions/m HTTP/1.1\r\nHost: a\r\nX\r\n\r\n" + HIDDEN,
    "a header without a name": b"GET /predictions/m HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n" + HIDDEN,
    "an upgrade": b"GET /predictions/m HTTP/1.1\r\nHost: a\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    + HIDDEN,
    "a line feed in the path": b"GET /predictions/m\n HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "a line feed in the path, escaped": b"GET /predictions/m%0d%0aX:%20y HTTP/1.1\r\n"
    b"Host: a\r\n\r\n" + HIDDEN,
    "only line feeds": b"POST /predictions/m HTTP/1.1\nHost: a\nContent-Length: 47\n\n" + HIDDEN,
}  # fmt: skip
CASES = LENGTHS | CODINGS | CHUNKS | LINES


def sent(address: str, data: bytes) -> bytes:
    """Send bytes, end there, and return all that comes back."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:  # it did not want to read the rest
            return b""


@pytest.fixture(scope="module")
def behind_it(lone_door: FrontSettings) -> Iterator[Recorder]:
    """What stands behind the door."""
    with recorded(lone_door.inference_socket) as recorder:
        yield recorder


@pytest.mark.parametrize("name", CASES)
def test_what_is_let_through_has_one_meaning(
    lone_door: FrontSettings, behind_it: Recorder, name: str
) -> None:
    lines, unclear = len(behind_it.lines), len(behind_it.unclear)
    said = sent(lone_door.inference_address, CASES[name])
    assert behind_it.unclear[unclear:] == []
    through = behind_it.lines[lines:]
    # As many as the door has answered: it knows of each one, and none is hidden in another.
    assert said.count(b"HTTP/1.1 200") == len(through)
    assert len(through) <= 1 or through[1].startswith(b"GET /predictions/hidden"), through


def test_the_cases_that_are_plain_do_come_through(
    lone_door: FrontSettings, behind_it: Recorder
) -> None:
    sent(lone_door.inference_address, CASES["an extension"])
    assert behind_it.bodies[-1] == b"ok"


def test_a_real_server_is_as_well_as_before(door: Running, front: httpx.Client) -> None:
    key = f"Authorization: Bearer {door.keys.get('inference')}\r\n".encode()
    for name, case in CASES.items():
        with_key = case.replace(b"/m HTTP/1.1\r\n", b"/cifar HTTP/1.1\r\n" + key)
        first = sent(door.inference, with_key).partition(b"\r\n")[0]
        assert b" 50" not in first, name
    assert front.post("/predictions/cifar", content=SHIP).json()["label"] == "ship"
