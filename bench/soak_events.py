"""What happens to a server that soaks: swaps, canaries, killed workers, halted processes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle

import psutil

from bench.soak_watch import family
from tests.support import BIN, Running, clean_environment

HALTED_SECONDS = 3.0
WATCHED_SECONDS = 15.0
SEED = 16


@dataclass(frozen=True)
class Event:
    """Something that was done.

    Attributes:
        kind: ``swap``, ``canary``, ``worker killed``, ``HAProxy halted`` and so on.
        model: whose worker it was, or "".
        start, end: Unix times.
        problem: what did not go as it should, or "".
    """

    kind: str
    model: str
    start: float
    end: float
    problem: str = ""


@dataclass
class Disturber:
    """Does things to a server, one after the other, at the pace that it is told.

    Attributes:
        models: name -> versions.
        events: what was done so far.
    """

    running: Running
    models: Mapping[str, list[str]]
    events: list[Event] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _chance: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311

    async def every(self, seconds: float, *doings: Callable[[], Awaitable[Event]]) -> None:
        """Do one thing after the other, ``seconds`` in between, until :meth:`end`."""
        for doing in cycle(doings):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
                return
            self.events.append(await doing())

    def end(self) -> None:
        """Begin nothing new; what is being done is done to its end."""
        self._ended.set()

    async def swap(self) -> Event:
        """Swap cifar to its other version, under a watch of some seconds."""
        start = time.time()
        target = await self._other()
        problem = await self._told("swap", "cifar", target, "--watch", "5s")
        return Event("swap", "cifar", start, time.time(), problem)

    async def canary(self) -> Event:
        """Give cifar's other version a tenth of the requests for a while, and then none again."""
        start = time.time()
        target = await self._other()
        problem = await self._told("canary", "cifar", target, "--share", "10%")
        if not problem:
            await asyncio.sleep(WATCHED_SECONDS)
            problem = await self._told("canary", "cifar", "--withdraw")
        return Event("canary", "cifar", start, time.time(), problem)

    async def kill_worker(self) -> Event:
        """Kill a worker of any model, with SIGKILL, once all of that model's are there."""
        model, pid = await self._any_worker()
        start = time.time()
        os.kill(pid, signal.SIGKILL)
        return Event("worker killed", model, start, time.time())

    async def halt_worker(self) -> Event:
        """Halt a worker for a while, as a swapping machine does."""
        model, pid = await self._any_worker()
        return await self._halt("worker halted", model, [pid])

    async def halt_haproxy(self) -> Event:
        """Halt the front door for a while."""
        return await self._halt("HAProxy halted", "", self._named("haproxy"))

    async def halt_torchserve(self) -> Event:
        """Halt Java for a while."""
        return await self._halt("TorchServe halted", "", self._named("java"))

    def _named(self, name: str) -> list[int]:
        return [one.pid for one in family(self.running) if one.name() == name]

    async def _halt(self, kind: str, model: str, pids: list[int]) -> Event:
        start = time.time()
        async with _halted(pids):
            await asyncio.sleep(HALTED_SECONDS)
        return Event(kind, model, start, time.time(), "" if pids else "there was none")

    async def _any_worker(self) -> tuple[str, int]:
        model = self._chance.choice([*self.models])
        while True:
            workers = await asyncio.to_thread(self._workers, model)
            if workers:
                return model, self._chance.choice(workers)
            await asyncio.sleep(1)

    async def _other(self) -> str:
        default = await asyncio.to_thread(self._default, "cifar")
        return next(one for one in self.models["cifar"] if one != default)

    def _workers(self, model: str) -> list[int]:
        """Return the process ids of a model's workers once all of them serve, else nothing."""
        described = self.running.describe(model, self._default(model))
        pids = [one["pid"] for one in described["workers"] if one["status"] == "READY"]
        # TorchServe lists one that has just been killed for a while, and then one less.
        there = [pid for pid in pids if psutil.pid_exists(pid)]
        return there if len(there) >= described["minWorkers"] else []

    def _default(self, model: str) -> str:
        with self.running.management() as client:
            return str(client.get(f"/models/{model}").json()[0]["modelVersion"])

    async def _told(self, *words: str) -> str:
        """Run a command; return what it says where it fails."""
        process = await asyncio.create_subprocess_exec(
            BIN / "marquee",
            *words,
            cwd=self.running.project.root,
            env=clean_environment(**self.running.environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        return said.decode().strip().splitlines()[-1] if process.returncode else ""


@asynccontextmanager
async def _halted(pids: list[int]) -> AsyncIterator[None]:
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def defaults(running: Running) -> dict[str, str]:
    """Return which version of each model serves."""
    with running.management() as client:
        names = [one["modelName"] for one in client.get("/models").json()["models"]]
        return {
            name: json.loads(client.get(f"/models/{name}").text)[0]["modelVersion"]
            for name in names
        }
