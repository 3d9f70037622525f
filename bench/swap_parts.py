"""What is done to the server while the clients of `bench.swap` ask on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.broken import WAYS, variant
from bench.load import Load
from tests.support import BIN, Running, clean_environment

# VGG11 takes several times as long as LeNet, in batches of 32 on a busy machine even more.
SLOWDOWN = "30"


@dataclass(frozen=True)
class Window:
    """A stretch of time in which something was done.

    Attributes:
        part: ``swap``, or what was broken or killed.
        start, end: Unix times.
        went: whether it ended as it should, and what it said.
        said: the record, or the error.
        allowed: how many requests may fail.
    """

    part: str
    start: float
    end: float
    went: bool
    said: str
    allowed: int = 0


@dataclass
class Bench:
    """The server, its clients, and what was done so far.

    Attributes:
        switches: Unix time -> version from then on, of each move of the default.
    """

    running: Running
    load: Load
    swaps: int
    watch: float
    gap: float
    windows: list[Window] = field(default_factory=list)
    switches: list[tuple[float, float, str]] = field(default_factory=list)
    steps: list[dict[str, float]] = field(default_factory=list)
    client_cpu: float = 0.0

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start a marquee command in the project."""
        return await asyncio.create_subprocess_exec(
            BIN / "marquee",
            *words,
            cwd=self.running.project.root,
            env=clean_environment(**self.running.environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def swap(self, target: str, *more: str) -> asyncio.subprocess.Process:
        """Start a swap of cifar to ``target``."""
        fixed = ("--json", "--watch", f"{self.watch:g}s", "--max-slowdown", SLOWDOWN)
        return await self.start("swap", "cifar", target, *fixed, *more)

    async def default(self) -> str:
        """Return the version that serves, asked off this thread."""
        return await asyncio.to_thread(self._default)

    def _default(self) -> str:
        with self.running.management() as client:
            return str(client.get("/models/cifar").json()[0]["modelVersion"])


async def sound(bench: Bench) -> None:
    """Swap to and fro; a version that was retired must not answer any more."""
    await (await bench.start("retire", "cifar", "1.0")).communicate()
    for number in range(bench.swaps):
        target = ("1.0", "2.0")[number % 2]
        before = await bench.default()
        start = time.time()
        out, err = await (await bench.swap(target)).communicate()
        end = time.time()
        record = json.loads(out) if out else {}
        if record.get("outcome") == "done":
            switch = next(step for step in record["steps"] if step["step"] == "switch")
            bench.switches.append((switch["at"], switch["at"] + switch["seconds"], target))
            bench.steps.append({step["step"]: step["seconds"] for step in record["steps"]})
        went = record.get("outcome") == "done" and not record["reason"] and before != target
        said = record.get("reason", "") if record else err.decode().strip()
        bench.windows.append(Window("swap", start, end, went, said))
        await asyncio.sleep(bench.gap)


async def broken(bench: Bench) -> None:
    """Swap to new versions that are broken: the old one must go on."""
    store = bench.running.project.model_store
    for number, way in enumerate(WAYS):
        await one_broken(bench, way, f"{number + 10}.0", store.parent / "broken.mar")


async def one_broken(bench: Bench, way: str, version: str, path: Path) -> None:
    """Swap to one broken version, from an archive outside of the store."""
    code, reason = WAYS[way]
    before = await bench.default()
    store = bench.running.project.model_store
    variant(store / "cifar-2.0.mar", path, version, code)
    names = {item.name for item in store.iterdir()}
    start = time.time()
    patience = "10s" if way == "hangs at load" else "90s"
    process = await bench.swap(
        str(path), "--load-timeout", patience, "--answer-timeout", "5s", "--max-slowdown", "3"
    )
    _, err = await process.communicate()
    end = time.time()
    kept = await bench.default() == before and {item.name for item in store.iterdir()} == names
    said = err.decode().strip().splitlines()[-1] if err else ""
    went = process.returncode == 1 and kept and reason in said
    bench.windows.append(Window(way, start, end, went, said))
    await asyncio.sleep(bench.gap)


async def killed(bench: Bench) -> None:
    """Kill a worker, then the command line, in the middle of a swap."""
    await kill_worker(bench)
    for number, step in (
        (signal.SIGKILL, "load"),
        (signal.SIGKILL, "switch"),
        (signal.SIGINT, "switch"),
    ):
        await kill_command(bench, number, step)


async def kill_worker(bench: Bench) -> None:
    """Kill the worker that serves once the new version has loaded."""
    before = await bench.default()
    target = "1.0" if before == "2.0" else "2.0"
    start = time.time()
    process = await bench.swap(target)
    await _until_step(process, "load")
    pids = await asyncio.to_thread(bench.running.worker_pids, "cifar", before)
    killed_at = time.time()
    os.kill(pids[0], signal.SIGKILL)
    out, err = await process.communicate()
    end = time.time()
    said = f"swap: {json.loads(out)['outcome']}" if out else err.decode()
    bench.windows.append(
        Window("worker killed", start, end, _recovers(bench, killed_at), said, allowed=64)
    )
    await asyncio.sleep(bench.gap)


def _recovers(bench: Bench, killed_at: float) -> bool:
    """Whether the last failure, and a right answer after it, came within 10 s of the kill."""
    ends = [(s.sent + s.seconds, s.status) for s in bench.load.samples if s.sent >= killed_at]
    good = [end for end, status in ends if status == 200]
    bad = [end for end, status in ends if status != 200]
    return (
        bool(good) and max(bad, default=min(good)) - killed_at < 10 and min(good) - killed_at < 10
    )


async def kill_command(bench: Bench, number: signal.Signals, step: str) -> None:
    """Send the command line a signal after a step: the old version must serve on."""
    before = await bench.default()
    target = "1.0" if before == "2.0" else "2.0"
    start = time.time()
    process = await bench.swap(target)
    await _until_step(process, step)
    process.send_signal(number)
    _, err = await process.communicate()
    deadline = time.monotonic() + 30
    while await bench.default() != before and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    went = await bench.default() == before
    await asyncio.sleep(3)  # the guard drains and retires the new version
    end = time.time()
    lines = err.decode().strip().splitlines()
    name = f"{number.name} after {step}"
    bench.windows.append(Window(name, start, end, went, lines[-1] if lines else ""))
    await asyncio.sleep(bench.gap)


async def _until_step(process: asyncio.subprocess.Process, step: str) -> None:
    """Read the command's progress until a step is done."""
    if process.stderr is None:
        raise AssertionError("stderr is a pipe")
    while line := await process.stderr.readline():
        if line.decode().startswith(step):
            return


Part = Callable[[Bench], Awaitable[None]]
PARTS: Mapping[str, Part] = {"sound": sound, "broken": broken, "killed": killed}
