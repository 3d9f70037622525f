"""Answers of all contenders are told from wrong ones, and a steady rate is kept."""

import asyncio
import json

import pytest

from bench.contenders.others import as_tensor
from bench.contenders.start import Asked, as_form
from bench.openloop import is_right, open_loop
from tests.bench.served import served_by

EXPECTED = {"ship": 0.75, "car": 0.25}


@pytest.mark.parametrize(
    "body",
    [
        b'{"ship": 0.75, "car": 0.25}',
        b'{"car": 0.2504, "ship": 0.7496}',
        b'{"label": "ship", "probabilities": {"ship": 0.75, "car": 0.25}}',
        b'{"outputs": [{"name": "probabilities", "shape": [1, 2], "data": [0.75, 0.25]}]}',
    ],
)
def test_right_answers(body: bytes) -> None:
    assert is_right(body, EXPECTED, 1e-3)


@pytest.mark.parametrize(
    "body",
    [
        b'{"ship": 0.74, "car": 0.26}',
        b'{"ship": 0.75}',
        b'{"outputs": [{"data": [0.25, 0.75]}]}',
        b'["ship"]',
        b"Internal Server Error",
        b"",
    ],
)
def test_wrong_answers(body: bytes) -> None:
    assert not is_right(body, EXPECTED, 1e-3)


def test_a_form_has_the_file_as_it_is() -> None:
    asked = as_form(b"\x89PNG\r\n--")
    head, _, rest = asked.body.partition(b"\r\n\r\n")
    boundary = asked.headers["Content-Type"].partition("boundary=")[2].encode()
    assert head.startswith(b"--" + boundary) and b'name="picture"' in head
    assert rest == b"\x89PNG\r\n--\r\n--" + boundary + b"--\r\n"


def test_a_tensor_of_bytes_is_described_before_it() -> None:
    asked = as_tensor(b"picture")
    length = int(asked.headers["Inference-Header-Content-Length"])
    described = json.loads(asked.body[:length])["inputs"][0]
    assert asked.body[length:] == b"\x07\x00\x00\x00picture"
    assert described["parameters"]["binary_data_size"] == len(asked.body) - length


def test_an_open_loop_does_not_wait_for_answers() -> None:
    """A server of a fifth of a second gets twenty requests in one fifth, not one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.2)
            body = json.dumps(EXPECTED).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    with served_by(answer) as url:
        outcome = open_loop(url, Asked(b"", {}), EXPECTED, rate=100, seconds=0.2, tolerance=1e-3)
    assert (outcome.requests, outcome.wrong, outcome.failed) == (20, 0, 0)
    assert outcome.p50_ms >= 200
