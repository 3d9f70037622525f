"""What all parts of a server on Ray know: one actor, on the machine of the project.

It hands archives out, says who answers for which model, hears how each worker is, and writes the
project's logs, since no other machine need have its disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.ray.spec import ReplicaState, Route, Routes
from marquee.serving.logfile import log_file

NAME, NAMESPACE, SERVE_NAMESPACE = "marquee-hub", "marquee", "serve"
# Of an archive, on its way to another machine: that much is in Ray's object store at a time.
CHUNK_BYTES = 16 << 20
# A worker that has said nothing for so long may be gone: Ray is asked. What one that failed said is
# remembered.
SILENT_SECONDS = 4.0
FAILED_SECONDS = 600.0
LOST = (
    "its worker died and left no traceback: it exited, or was killed, perhaps for lack of memory, "
    "or with its node"
)
# The doors take a change up at once; one that is being replaced is not waited for.
ROUTED_SECONDS = 5.0
# As config/log4j2.xml cuts TorchServe's logs.
POLL_SECONDS = 30.0


class Hub:
    """The actor.

    Args:
        project: the folder of the project.
        logs: that of its logs.
    """

    def __init__(self, project: str, logs: str) -> None:
        self._project = project
        self._folder, self._logs = Path(logs), dict[str, logging.Logger]()
        self._routes, self._revision = Routes(), 0
        self._changed = asyncio.Condition()
        self._doors: dict[str, int] = {}
        self._pending: dict[tuple[str, str], dict[str, int]] = {}
        self._states: dict[str, tuple[float, ReplicaState]] = {}

    async def project(self) -> str:
        """Return the folder of the project whose models these are."""
        return self._project

    async def configure(self, routes: Routes) -> None:
        """Take everything but the models from ``routes``."""
        await self._set(replace(routes, models=self._routes.models))

    async def route(self, model: str, route: Route | None) -> None:
        """Say who answers for a model from now on; returns when the doors know."""
        models = {name: one for name, one in self._routes.models.items() if name != model}
        await self._set(replace(self._routes, models=models | ({model: route} if route else {})))
        await self._known()

    async def _set(self, routes: Routes) -> None:
        async with self._changed:
            self._routes, self._revision = routes, self._revision + 1
            self._changed.notify_all()

    async def _known(self) -> None:
        deadline, wanted = time.monotonic() + ROUTED_SECONDS, self._revision
        while any(known < wanted for known in self._doors.values()):
            if time.monotonic() > deadline:
                self._doors.clear()  # whoever is still there asks again
            await asyncio.sleep(0.005)

    async def routes(self, door: str, known: int) -> tuple[int, Routes]:
        """Return the routes once they are others than those that a door knows, or after a while."""
        self._doors[door] = known
        async with self._changed:
            with contextlib.suppress(asyncio.TimeoutError):
                changed = self._changed.wait_for(lambda: self._revision != known)
                await asyncio.wait_for(changed, POLL_SECONDS)
            return self._revision, self._routes

    async def current(self) -> Routes:
        """Return the routes."""
        return self._routes

    async def report(self, state: ReplicaState) -> None:
        """Hear how a worker is."""
        self._states[state.replica] = (time.monotonic(), state)

    async def gone(self, replica: str) -> None:
        """Hear that a worker has ended; why one did not load is remembered."""
        _, state = self._states.get(replica, (0.0, None))
        if state is not None and state.state != "failed":
            del self._states[replica]

    async def waiting(
        self, door: str, pending: dict[tuple[str, str], int]
    ) -> Counter[tuple[str, str]]:
        """Hear how many requests to each version a door has not answered.

        Returns:
            How many workers each version has that are ready.
        """
        for version, count in pending.items():
            self._pending.setdefault(version, {})[door] = count
        states = [state for _, state in self._states.values()]
        return Counter((one.name, one.version) for one in states if one.state == "ready")

    async def states(self, model: str = "") -> list[ReplicaState]:
        """Return how the workers of a model, or of all, are."""
        now = time.monotonic()
        for heard, state in [*self._states.values()]:
            if state.state == "failed" and now - heard > FAILED_SECONDS:
                del self._states[state.replica]
            elif state.state != "failed" and now - heard > SILENT_SECONDS:
                self._look_at(state, now)
        return [one for _, one in self._states.values() if not model or one.name == model]

    async def unanswered(self) -> int:
        """Return how many requests the doors have that are not answered."""
        return sum(count for doors in self._pending.values() for count in doors.values())

    def _look_at(self, state: ReplicaState, now: float) -> None:
        """Find out whether a worker that is silent is busy, or gone."""
        try:
            ray.get_actor(state.replica, SERVE_NAMESPACE)
        except ValueError:
            del self._states[state.replica]
            if state.state != "starting":
                return
            state = replace(state, state="failed", reason=LOST)
        self._states[state.replica] = (now, state)

    async def pending(self, model: str) -> dict[str, int]:
        """Return how many requests to each version of a model are not answered."""
        return {
            version: sum(doors.values())
            for (name, version), doors in self._pending.items()
            if name == model
        }

    async def forget(self, model: str, version: str) -> None:
        """Forget the failures of a version that is about to be tried again, or is removed."""
        for replica, (_, state) in [*self._states.items()]:
            if (state.name, state.version) == (model, version) and state.state == "failed":
                del self._states[replica]

    async def chunk(self, model: str, version: str, offset: int) -> bytes:
        """Return some bytes of a version's archive."""
        path = Path(self._routes.models[model].versions[version].path)
        return await asyncio.to_thread(_read, path, offset)

    async def tell(self, file: str, lines: Sequence[str]) -> None:
        """Write lines to one of the project's logs."""
        for line in lines:
            self._log(file).info("%s", line)

    def _log(self, file: str) -> logging.Logger:
        if file not in self._logs:
            self._logs[file] = log_file(self._folder / Path(file).name)
        return self._logs[file]


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK_BYTES)


def start(project: Project) -> Any:
    """Return the cluster's hub; starts it on this machine where there is none.

    Raises:
        MarqueeError: it is that of another project.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"lifetime": "detached", "max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}
    hub: Any = (
        ray.remote(Hub)
        .options(
            name=NAME, namespace=NAMESPACE, get_if_exists=True, scheduling_strategy=here, **options
        )
        .remote(str(project.root), str(project.logs.resolve()))
    )
    other = ray.get(hub.project.remote())
    if other != str(project.root):
        raise MarqueeError(
            f"this cluster serves the models of {other} already, and a cluster serves those of one "
            "project; stop that server (marquee stop, there), or use another cluster"
        )
    return hub


def find() -> Any:
    """Return the cluster's hub.

    Raises:
        ValueError: there is none.
    """
    return ray.get_actor(NAME, NAMESPACE)
