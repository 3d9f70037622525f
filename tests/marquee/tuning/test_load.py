"""Clients in closed loops, against a small server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from marquee.tuning.connection import prepared
from marquee.tuning.load import Load

# From a request's path to the whole answer; None hangs up.
Answers = Callable[[str], bytes | None]


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


async def _ended(server: asyncio.Server, loop: asyncio.AbstractEventLoop) -> None:
    server.close()
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def server(answers: Answers) -> Iterator[int]:
    """Run a server in a thread, which reads whole requests; lend its port."""
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = head.partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length))
                answer = answers(head.split()[1])
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has what it wanted
        finally:
            writer.close()

    made = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_ended(made, loop))
        loop.close()


def load(port: int, *paths: str) -> Load:
    requests = [prepared(path, b"abc", "t", "h", {"Accept": "x/y"}) for path in paths]
    return Load("127.0.0.1", port, requests, hangs=10)


def test_a_request_is_whole() -> None:
    made = prepared("/p", b"abc", "key", "host:1", {"Accept": "image/png"})
    assert made == (
        b"POST /p HTTP/1.1\r\nHost: host:1\r\nContent-Length: 3\r\nAuthorization: Bearer key\r\n"
        b"Accept: image/png\r\n\r\nabc"
    )
    assert b"Authorization" not in prepared("/p", b"", None, "h")


def test_each_client_has_an_answer_at_the_least() -> None:
    with server(lambda _: http(b"same")) as port:
        one = load(port, "/a")
        found = one.run(5, 0.0)
    assert one.problem is None
    assert found.clients == 5
    assert len(found.latencies) == 5
    assert all(0 < seconds <= found.seconds for seconds in found.latencies)


def test_requests_are_sent_in_turns_and_different_answers_kept() -> None:
    with server(lambda path: http(path.encode())) as port:
        one = load(port, "/a", "/b", "/c")
        found = one.run(2, 0.05)
    assert len(found.latencies) > 3
    assert sorted((index, answer.body) for index, answer in one.answers) == [
        *((0, b"/a"), (1, b"/b"), (2, b"/c"))
    ]


def test_a_large_answer_arrives_whole() -> None:
    body = bytes(range(256)) * 4096
    with server(lambda _: http(body)) as port:
        one = load(port, "/a")
        one.run(1, 0.0)
    assert one.answers[0][1].body == body


def test_a_connection_that_the_server_ends_is_opened_again() -> None:
    with server(lambda _: http(b"x", more="Connection: close\r\n")) as port:
        one = load(port, "/a")
        found = one.run(1, 0.05)
    assert one.problem is None
    assert len(found.latencies) > 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (http(b"no\npicture", "400 Bad Request"), "answered with 400: no picture"),
        (None, "the connection broke"),
    ],
)
def test_what_is_no_success_ends_it(answer: bytes | None, problem: str) -> None:
    with server(lambda _: answer) as port:
        one = load(port, "/a")
        one.run(3, 5.0)
    assert one.problem is not None
    assert one.problem.startswith(problem)
