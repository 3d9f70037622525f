"""A healthy client's time beside a crowd: slow, idle, or with 100 MB that nobody wants.

    .venv/bin/python -m bench.crowd [--requests 400] [--most BYTES]

Starts `marquee serve --front` with cifar on free ports in a temporary project, and stops it. The
crowd is another process, on the server's cores. With --most cifar takes no more than that
(max_request_sizes), and the large pictures are refused by their length.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import signal
import statistics
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support import BIN, GOLDEN, make_project, marquee, only_version, serving

PATH = "/predictions/cifar"
LARGE = 100_000_000
PIECE = 1 << 18
SECONDS = 120

Visit = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Say nothing until the door ends it."""
    await reader.read()


async def slow_head(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
) -> None:
    """Send a byte of the head each second."""
    for one in head:
        writer.write(bytes([one]))
        await asyncio.sleep(1)


async def slow_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
) -> None:
    """Send a byte of the body each second."""
    writer.write(head + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"a")
        await asyncio.sleep(1)


async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Send a PNG of 100 MB whose header says that it has far too many pixels."""
    writer.write(head + f"Content-Type: image/png\r\nContent-Length: {LARGE}\r\n\r\n".encode())
    writer.write(_start_of_png())
    for _ in range(LARGE // PIECE):
        writer.write(bytes(PIECE))
        await writer.drain()
    answer = await reader.readline()
    if b" 413 " not in answer:
        print(f"the large picture was answered with {answer!r}", flush=True)  # noqa: T201
    # One that is refused at once does not come again faster than it could have been sent.
    await asyncio.sleep(0.1)


def _start_of_png() -> bytes:
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + struct.pack(">I", zlib.crc32(b"IHDR" + size))
    return start + bytes(LARGE % PIECE - len(start))


CROWDS: dict[str, tuple[int, Visit]] = {
    "500 that send a byte of their head a second": (500, slow_head),
    "500 that send a byte of their body a second": (500, slow_body),
    "2,000 that say nothing": (2000, idle),
    "2 that send 100 MB of a picture with too many pixels": (2, large),
    "20 that send 100 MB of a picture with too many pixels": (20, large),
}


async def _come_again(address: str, key: str, visit: Visit) -> None:
    parts = urlsplit(address)
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n".encode()
    while True:
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                await visit(reader, writer, head)
            finally:
                writer.close()
        except OSError:
            await asyncio.sleep(0.1)


def _run(address: str, key: str, name: str) -> None:
    _raise_limit()
    count, visit = CROWDS[name]

    async def all_of_them() -> None:
        await asyncio.gather(*(_come_again(address, key, visit) for _ in range(count)))

    asyncio.run(all_of_them())


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def crowd(address: str, key: str, name: str) -> Iterator[None]:
    """Have a crowd there while the block runs."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(address, key, name))
    process.start()
    time.sleep(5)  # until they are all there
    try:
        yield
    finally:
        process.kill()
        process.join()


def times(client: httpx.Client, body: bytes, requests: int) -> list[float]:
    """Return the milliseconds of requests one after the other; each must be answered well."""
    found = []
    for _ in range(requests):
        start = time.perf_counter()
        answer = client.post(PATH, content=body)
        found.append(1000 * (time.perf_counter() - start))
        if answer.status_code != 200:
            raise SystemExit(f"the healthy client was answered with {answer.status_code}")
    return found


def shown(name: str, found: list[float]) -> str:
    """Return a line with the median and the 99th percentile."""
    p99 = statistics.quantiles(found, n=100)[98]
    return f"{name}: p50 {statistics.median(found):.1f} ms, p99 {p99:.1f} ms"


def main() -> None:
    """Print a line alone, and one beside each crowd."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--most", type=int, help="bytes that cifar takes")
    options = parser.parse_args()
    requests = options.requests
    body = (GOLDEN / "cifar" / "8_ship.png").read_bytes()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the server ends with it
    with tempfile.TemporaryDirectory(prefix="mq-crowd-") as folder:
        project = only_version(make_project(Path(folder) / "project", "cifar"), "cifar", "2.0")
        if options.most:
            with (project.root / "config" / "front.yaml").open("a") as file:
                file.write(f"\nmax_request_sizes: {{cifar: {options.most}}}\n")
        built = marquee(project, "archive")
        if built.returncode:
            sys.exit(built.stderr)
        with serving(project, BIN / "marquee", "serve", "--front") as running:
            key = running.keys.get("inference")
            with running.client() as client:
                times(client, body, 100)
                print(shown("alone", times(client, body, requests)), flush=True)  # noqa: T201
                for name in CROWDS:
                    with crowd(running.inference, key, name):
                        print(shown(name, times(client, body, requests)), flush=True)  # noqa: T201
                    pids = running.worker_pids("cifar", "2.0")
                    print(shown(f"  and after it (workers {pids})",  # noqa: T201
                                times(client, body, requests)), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
