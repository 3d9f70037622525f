"""Bodies of one size wait for each other, so that Java's heap holds what TorchServe has in hand."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from marquee.front import lanes
from marquee.front.settings import FrontSettings
from tests.front.behind import Server, behind
from tests.front.conftest import Start
from tests.front.support import wait_for

KB, MB = 1 << 10, 1 << 20
HEAP, MOST = 20 * MB, 2 * MB
# What HEAP and MOST make: of more than 64 kB two at once, of more than 1 MB one.
LIGHT, MIDDLE, LARGE = 10 * KB, 200 * KB, 3 * MB // 2
PLACES = {MIDDLE: 2, LARGE: 1}
Post = Callable[..., Future[httpx.Response]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-Xmx2g -XX:+ExitOnOutOfMemoryError", 2048 * MB),
        ("-Xmx512m", 512 * MB),
        ("-Xmx1G -Xms64m", 1024 * MB),
        ("-Xmx4g -XX:MaxDirectMemorySize=300M", 300 * MB),
        ("-XX:MaxHeapSize=1048576k", 1024 * MB),
        ("-Xmx536870912", 512 * MB),
    ],
)
def test_java_is_told_how_much_it_may_take(options: str, expected: int) -> None:
    assert lanes.heap_of({"vmargs": options}) == expected


def test_where_java_is_not_told_no_more_than_usual_is_counted_on() -> None:
    found = lanes.heap_of({})
    assert found == lanes.heap_of({"vmargs": "-Xmxlarge"})
    assert 0 < found <= min(lanes.USUAL_HEAP, psutil.virtual_memory().total)


@pytest.mark.parametrize("heap", [16 * MB, 512 * MB, 2048 * MB, 32 << 30])
@pytest.mark.parametrize("most", [1, 65 * KB, MB, 8 * MB, 100 * MB, 2 << 30])
def test_all_bodies_together_fit_twice_or_pass_one_by_one(heap: int, most: int) -> None:
    found = lanes.lanes(heap, most)
    assert [lane.largest for lane in found] == sorted({lane.largest for lane in found})
    assert found[-1].largest == most
    assert sum(2 * lane.largest * lane.at_once for lane in found if lane.at_once > 1) <= heap


@pytest.fixture
def narrow(start: Start) -> FrontSettings:
    """A door before a server of little memory."""
    return start(heap=HEAP, max_request_size=MOST, default_model="m")


@pytest.fixture
def held(narrow: FrontSettings) -> Iterator[Server]:
    """What stands behind it; it keeps what it gets until it is told to go on."""
    with behind(narrow.inference_socket) as server:
        server.go.clear()
        yield server


@pytest.fixture
def post(narrow: FrontSettings, held: Server) -> Iterator[Post]:
    """Send a body of so many bytes, all at once or in chunks."""
    url = narrow.inference_address + "/predictions/m"

    def send(size: int, *, chunked: bool) -> httpx.Response:
        body = bytes(size)
        return httpx.post(
            url, content=iter([body]) if chunked else body, timeout=60, trust_env=False
        )

    with ThreadPoolExecutor(40) as pool:

        def later(size: int, *, chunked: bool = False) -> Future[httpx.Response]:
            return pool.submit(send, size, chunked=chunked)

        yield later
        held.go.set()


def stays(server: Server, count: int) -> None:
    """See that so many reach the server, and no more for a while."""
    wait_for(lambda: server.held == count, f"{count} in hand")
    time.sleep(0.5)
    assert server.held == count


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_wait_for_their_turn(held: Server, post: Post, chunked: bool) -> None:
    # Nobody knows the size of what comes in chunks: it counts as the largest.
    sent = [post(MIDDLE if chunked else LARGE, chunked=chunked) for _ in range(4)]
    stays(held, PLACES[LARGE])
    held.go.set()
    assert {one.result().status_code for one in sent} == {200}


def test_sizes_do_not_wait_for_each_other(held: Server, post: Post) -> None:
    large = [post(LARGE) for _ in range(3)]
    stays(held, PLACES[LARGE])
    middle = [post(MIDDLE) for _ in range(5)]
    stays(held, PLACES[LARGE] + PLACES[MIDDLE])
    light = [post(LIGHT, chunked=chunked) for chunked in (False, True) for _ in range(5)]
    stays(held, PLACES[LARGE] + PLACES[MIDDLE] + len(light))
    held.go.set()
    assert {one.result().status_code for one in (*large, *middle, *light)} == {200}


def test_who_sends_a_byte_a_second_takes_no_place(
    narrow: FrontSettings, held: Server, post: Post
) -> None:
    address = urlsplit(narrow.inference_address)
    head = f"POST /predictions/m HTTP/1.1\r\nHost: a\r\nContent-Length: {MIDDLE}\r\n\r\n"
    with ExitStack() as opened:
        slow = []
        for _ in range(2 * PLACES[MIDDLE]):
            client = socket.create_connection((str(address.hostname), int(address.port or 80)), 60)
            slow.append(opened.enter_context(client))
            client.sendall(head.encode() + bytes(100))
        stays(held, 0)
        held.go.set()
        assert post(MIDDLE).result().status_code == 200
        for client in slow:
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
