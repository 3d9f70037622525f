"""Clients that are slow, idle, gone, or of another age: others are answered meanwhile."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from tests.front.behind import Server, behind
from tests.front.support import wait_for

CROWD = 300
POST = b"POST /predictions/m HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /predictions/m HTTP/1.1\r\nHost: a\r\n\r\n"
# For the whole head of a request, in haproxy.cfg.j2; and what a busy machine takes beside.
HEAD_SECONDS, SPARE = 10, 60


@pytest.fixture
def server(lone_door: FrontSettings) -> Iterator[Server]:
    """What stands behind the door."""
    with behind(lone_door.inference_socket) as made:
        yield made


def connected(settings: FrontSettings) -> socket.socket:
    """Return a connection to the door."""
    host, port = settings.inference_address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=SPARE)


@contextmanager
def crowd(
    settings: FrontSettings, begin: bytes, count: int = CROWD
) -> Iterator[list[socket.socket]]:
    """Hold many connections, on each of which so much has been sent."""
    with ExitStack() as opened:
        held = [opened.enter_context(connected(settings)) for _ in range(count)]
        for one in held:
            one.sendall(begin)
        yield held


def read(connection: socket.socket) -> bytes:
    """Return all that comes until the door ends the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def asked(settings: FrontSettings) -> int:
    """Ask as a healthy client does, and return the status."""
    url = f"{settings.inference_address}/predictions/m"
    return httpx.post(url, content=b"ok", trust_env=False, timeout=SPARE).status_code


def connections(settings: FrontSettings) -> int:
    """Return how many connections the door has, with those to the server behind."""
    process = Haproxy(settings.folder).process()
    assert process is not None
    return len([one for one in process.net_connections() if one.status == psutil.CONN_ESTABLISHED])


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"", id="idle"),
        pytest.param(b"POST /pred", id="slow head"),
        pytest.param(POST + b"Content-Length: 1000\r\n\r\nten bytes!", id="slow body"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", id="slow chunks"),
    ],
)
def test_a_crowd_that_sends_nothing_more_leaves_others_alone(
    lone_door: FrontSettings, server: Server, begin: bytes
) -> None:
    with crowd(lone_door, begin):
        assert [asked(lone_door) for _ in range(20)] == [200] * 20
    # They have left in the middle, and nothing of them is kept.
    wait_for(lambda: connections(lone_door) <= 3, "the end of the crowd's connections", SPARE)
    wait_for(lambda: server.held == 0, "the end of the crowd's requests", SPARE)
    assert asked(lone_door) == 200


def test_a_head_that_comes_one_byte_a_second_is_ended(lone_door: FrontSettings) -> None:
    gone = threading.Event()
    with connected(lone_door) as slow:

        def drip() -> None:
            for one in POST * 10:
                try:
                    slow.sendall(bytes([one]))
                except OSError:
                    return
                if gone.wait(1):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        said = read(slow)
        gone.set()
        dripping.join()
    assert said.startswith(b"HTTP/1.1 408"), said


def test_clients_that_leave_before_their_answer(lone_door: FrontSettings, server: Server) -> None:
    server.go.clear()
    few = 4  # as many as the server behind takes at once
    with crowd(lone_door, GET, few):
        wait_for(lambda: server.held == few, "all requests at the server", SPARE)
    server.go.set()
    wait_for(lambda: server.held == 0, "the end of the requests", SPARE)
    wait_for(lambda: connections(lone_door) <= 3, "the end of the connections", SPARE)
    assert asked(lone_door) == 200


def test_a_client_that_sends_no_more_is_still_answered(
    lone_door: FrontSettings, server: Server
) -> None:
    with connected(lone_door) as half_open:
        half_open.sendall(GET)
        half_open.shutdown(socket.SHUT_WR)
        assert read(half_open).startswith(b"HTTP/1.1 200")


def test_requests_that_come_at_once_are_answered_in_order(
    lone_door: FrontSettings, server: Server
) -> None:
    paths = [f"/predictions/m/{number}".encode() for number in range(5)]
    requests = [b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" for path in paths]
    with connected(lone_door) as pipelining:
        pipelining.sendall(
            b"\r\n".join(requests[:-1]) + b"\r\n" + requests[-1] + b"Connection: close\r\n\r\n"
        )
        said = read(pipelining)
    assert re.findall(rb'"path": "([^"]*)"', said) == paths


def test_http_1_0_is_answered_and_the_connection_ended(
    lone_door: FrontSettings, server: Server
) -> None:
    with connected(lone_door) as old:
        old.sendall(b"GET /predictions/m HTTP/1.0\r\n\r\n")
        said = read(old)
    assert said.startswith(b"HTTP/1.1 200")
    assert b'"path": "/predictions/m"' in said
