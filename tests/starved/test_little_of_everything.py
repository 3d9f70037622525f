"""A server with a read-only home, 256 files a process, no shared memory, DNS, or room for logs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from marquee.project import Project
from tests.front.conftest import haproxy  # noqa: F401 - a fixture
from tests.server.test_content_types import SHIP
from tests.starved.scarcity import full, instead, need_namespaces, read_only, starved
from tests.support import BIN, Running, serving

FILES = 256
LOG_KILOBYTES = 32
CROWD = 120


@pytest.fixture(scope="module")
def poor(
    haproxy: Path,  # noqa: F811
    small_project: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A server that has little."""
    home = tmp_path_factory.mktemp("home")
    need_namespaces(home.parent)
    silent, names = home / "resolv.conf", home / "hosts"
    silent.write_text("nameserver 192.0.2.1\n")  # RFC 5737: nobody is there
    names.write_text("127.0.0.1 localhost\n")  # and the machine's own name is in no file
    small_project.logs.mkdir(exist_ok=True)
    shortages = (
        "mount -t tmpfs -o ro none /dev/shm",
        instead("/etc/resolv.conf", silent),
        instead("/etc/hosts", names),
        read_only(home),
        full(small_project.logs, LOG_KILOBYTES),
        f"ulimit -n {FILES}",
    )
    command: tuple[str | Path, ...] = (*starved(*shortages), BIN / "marquee", "serve", "--front")
    with serving(small_project, *command, HOME=str(home)) as running:
        yield running


@pytest.mark.server
def test_it_answers(poor: Running) -> None:
    with poor.client() as client:
        for _ in range(300):
            assert client.post("/predictions/cifar", content=SHIP).json()["label"] == "ship"
    # Said once, or once more where a little could be written in between; no traceback each time.
    told = [line for line in poor.output.read_text().splitlines() if "front.log" in line]
    assert 0 < len(told) < 5
    assert "(No space left on device): requests are answered, and not logged" in told[0]


@pytest.mark.server
def test_more_connections_than_there_are_files_for(poor: Running) -> None:
    before = poor.worker_pids("cifar", "2.0")
    host, port = poor.inference.removeprefix("http://").split(":")
    with ExitStack() as opened, poor.client() as client:
        for _ in range(CROWD):
            opened.enter_context(socket.create_connection((host, int(port)), timeout=60))
        # It comes to its turn when the door has ended those that say nothing.
        assert client.post("/predictions/cifar", content=SHIP).json()["label"] == "ship"
    with poor.client() as client:
        assert client.post("/predictions/cifar", content=SHIP).json()["label"] == "ship"
    assert poor.worker_pids("cifar", "2.0") == before
