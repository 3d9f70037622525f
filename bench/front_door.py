"""What the front door costs a request, beside the least that HAProxy can do, in turns.

    .venv/bin/python -m bench.front_door [--clients 1,32] [--rounds 5] [--seconds 2]

Behind both is a stand-in for TorchServe that answers in bursts, as batches do. CPU microseconds a
request: of HAProxy, and of this process, which reads and counts the door's log lines as `marquee
serve` does (what it takes without a door is what starting wrk takes).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.contenders.start import Asked
from bench.pictures import pictures
from bench.wrk import closed_loop
from marquee.errors import MarqueeError
from marquee.front import config, launch, program, runtime
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from marquee.interrupts import until
from marquee.project import Project
from marquee.serving.door import Door
from tests.support import free_ports, make_project

PATH, KEY = "/predictions/cifar", "a-key-of-the-bench"
EXPECTED = {f"class{number}": 0.1 for number in range(10)}
# Milliseconds from burst to burst, for each number of clients.
BURSTS = {1: 4, 8: 10, 32: 25}
START_SECONDS = 10
COMMON = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""
BEHIND = """
global
  nbthread 1
  lua-load {folder}/burst.lua
{common}
frontend behind
  bind unix@{socket}
  http-request wait-for-body time 5s
  http-request lua.burst
  http-request return status 200 content-type application/json lf-file {folder}/answer
"""
BURST = """
local every = {every}
core.register_action("burst", {{ "http-req" }}, function(txn)
  local now = core.now()
  core.msleep(every * 2 - math.floor(now.sec * 1000 + now.usec / 1000) % every)
end, 0)
"""
LEAST = """
global
  nbthread 1
{common}
frontend inference
  bind 127.0.0.1:{port}
  default_backend models
backend models
  server torchserve unix@{socket}
"""


@dataclass(frozen=True)
class Contender:
    """A HAProxy that runs: its name, its port, the process that works."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return what it has used so far, to the nanosecond."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def haproxy(path: Path, text: str, up: Callable[[], bool]) -> Iterator[int]:
    """Run a HAProxy of this configuration; yield its process id when it is up."""
    path.write_text(text)
    with subprocess.Popen(
        [program.find(), "-db", "-f", path], stderr=subprocess.DEVNULL
    ) as running:
        if not until(up, START_SECONDS):
            sys.exit(f"HAProxy does not start from {path}")
        try:
            yield running.pid
        finally:
            running.terminate()


@contextmanager
def behind(folder: Path, socket: Path, clients: int) -> Iterator[None]:
    """Answer on a socket, in bursts."""
    every = BURSTS.get(clients, max(BURSTS.values()))
    (folder / "burst.lua").write_text(BURST.format(every=every))
    (folder / "answer").write_text(json.dumps(EXPECTED))
    socket.unlink(missing_ok=True)
    text = BEHIND.format(folder=folder, socket=socket, common=COMMON)
    with haproxy(folder / "behind.cfg", text, socket.is_socket):
        yield


@contextmanager
def least(folder: Path, socket: Path) -> Iterator[Contender]:
    """Run a HAProxy that does nothing but pass requests on."""
    (port,) = free_ports(1)
    text = LEAST.format(port=port, socket=socket, common=COMMON)
    with haproxy(folder / "least.cfg", text, lambda: listens(port)) as pid:
        yield Contender("least", port, pid)


def listens(port: int) -> bool:
    """Whether anybody listens at a port of this machine."""
    found = psutil.net_connections("tcp4")
    return any(one.laddr and one.laddr.port == port and one.status == "LISTEN" for one in found)


def workers(address: Haproxy) -> list[int]:
    """Return its working processes; none while it starts."""
    with suppress(MarqueeError):
        return runtime.worker_pids(address.master)
    return []


@contextmanager
def door(project: Project, settings: FrontSettings) -> Iterator[Contender]:
    """Run the front door, its lines read as `marquee serve` reads them."""
    config.write(settings)
    running = launch.start(settings, Door(project, settings).take)
    address = Haproxy(settings.folder)
    try:
        (pid,) = until(lambda: workers(address), START_SECONDS)
        yield Contender("door", int(settings.inference_address.rpartition(":")[2]), pid)
    finally:
        address.stop()
        running.wait(START_SECONDS)


@dataclass(frozen=True)
class Row:
    """A turn: CPU microseconds a request of HAProxy and of this process; milliseconds."""

    haproxy_us: float
    here_us: float
    p50_ms: float


def turn(contender: Contender, clients: int, seconds: int) -> Row:
    """Measure one once."""
    asked = Asked(pictures()["png"].body, {"Authorization": f"Bearer {KEY}"})
    url = f"http://127.0.0.1:{contender.port}{PATH}"
    begun, here = contender.cpu_seconds(), time.process_time()
    found = closed_loop(url, asked, EXPECTED, clients=clients, seconds=seconds, tolerance=0)
    if found.wrong or found.failed:
        sys.exit(f"{contender.name}: {found.wrong} wrong, {found.failed} failed: {found.example}")
    time.sleep(2 * launch.GATHER_SECONDS)  # until its lines are read
    share = 1e6 / found.requests
    return Row(
        share * (contender.cpu_seconds() - begun),
        share * (time.process_time() - here),
        found.p50_ms,
    )


def settings_in(folder: Path, project: Project) -> FrontSettings:
    """Return a door's settings as a project has them, with a key that is asked for."""
    (port,) = free_ports(1)
    keys = {kind: {"key": KEY} for kind in ("inference", "management")}
    project.key_file.write_text(json.dumps(keys))
    return FrontSettings(
        folder=folder / "front",
        inference_address=f"http://127.0.0.1:{port}",
        key_file=project.key_file,
    )


def main() -> None:
    """Print a line for each number of clients and each HAProxy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", default="1,32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    with ExitStack() as opened:
        # Short: sockets in it have paths of at most 107 bytes.
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="mqd-", dir="/tmp")))
        project = make_project(folder / "project")
        settings = settings_in(folder, project)
        contenders = [
            opened.enter_context(least(folder, settings.inference_socket)),
            opened.enter_context(door(project, settings)),
        ]
        for clients in map(int, options.clients.split(",")):
            with behind(folder, settings.inference_socket, clients):
                show(contenders, clients, options.rounds, options.seconds)


def show(contenders: list[Contender], clients: int, rounds: int, seconds: int) -> None:
    """Take turns, and print the medians."""
    rows: dict[str, list[Row]] = {one.name: [] for one in contenders}
    for one in contenders:
        turn(one, clients, 1)
    for number in range(rounds):
        for one in contenders[:: -1 if number % 2 else 1]:
            rows[one.name].append(turn(one, clients, seconds))
    for name, found in rows.items():
        cpu = statistics.median(row.haproxy_us for row in found)
        here = statistics.median(row.here_us for row in found)
        p50 = statistics.median(row.p50_ms for row in found)
        sys.stdout.write(
            f"{clients:3} clients, {name:5}: {cpu:4.0f} us of HAProxy, {here:4.0f} us here, "
            f"p50 {p50:.2f} ms\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
