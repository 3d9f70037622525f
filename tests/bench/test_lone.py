"""A lone client counts right, wrong and failed answers, and asks thrice at least."""

import asyncio

import pytest

from bench.contenders.start import Asked
from bench.lone import lone_client
from tests.bench.served import served_by


@pytest.mark.parametrize(
    ("status", "body", "wrong", "failed"),
    [
        (b"200 OK", b'{"bytes": 5}', 0, 0),
        (b"200 OK", b'{"bytes": 6}', 3, 0),
        (b"413 Too Large", b'{"bytes": 5}', 0, 3),
    ],
)
def test_answers_are_judged(status: bytes, body: bytes, wrong: int, failed: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(5)
            length = b"Content-Length: %d\r\n\r\n" % len(body)
            writer.write(b"HTTP/1.1 " + status + b"\r\n" + length + body)
        writer.close()

    with served_by(answer) as url:
        outcome = lone_client(url, Asked(b"12345", {}), {"bytes": 5}, seconds=0, tolerance=0.1)
    assert (outcome.requests, outcome.wrong, outcome.failed) == (3, wrong, failed)
