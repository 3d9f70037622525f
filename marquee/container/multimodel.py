"""SageMaker's multi-model contract: models are loaded and unloaded while the container runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from marquee.archives.manifest import rule_broken
from marquee.container import contents, memory, packages
from marquee.container.modelstore import ModelStore, StoredModel
from marquee.container.variables import ContainerSettings
from marquee.errors import MarqueeError
from marquee.front import maps
from marquee.front.process import Haproxy
from marquee.interrupts import until
from marquee.project import Project
from marquee.torchserve import preflight
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management

POLL_SECONDS = 0.05
# A request that passed just before the door was told shows up a moment later.
QUIET_POLLS = 4
LOAD_SECONDS = 600
# What a worker takes beside its weights: Python, PyTorch, its buffers.
WORKER_BYTES = 400 << 20
# The weights, as they lie in the file and as the network holds them.
COPIES = 2
NO_MEMORY, FAILED = HTTPStatus.INSUFFICIENT_STORAGE, HTTPStatus.INTERNAL_SERVER_ERROR
MEMORY_WORDS = ("MemoryError", "out of memory", "OutOfMemory", "allocate memory", "lack of memory")
# As long as the longest request.
DRAIN_SECONDS = 3600


class Refused(Exception):
    """A request to ``/models`` that is not carried out, with the status SageMaker expects."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class MultiModel:
    """Loads and unloads models; any number of threads may ask at once."""

    def __init__(
        self, project: Project, settings: ContainerSettings, api: Management, door: Haproxy
    ) -> None:
        self._project, self._settings, self._api, self._door = project, settings, api, door
        self._store = ModelStore(project, settings)
        self._patience = settings.startup_timeout or LOAD_SECONDS
        self._models: dict[str, tuple[StoredModel, str]] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def models(self) -> dict[str, str]:
        """Return the folder of each loaded model by its name, sorted."""
        with self._lock:
            return {name: url for name, (_, url) in sorted(self._models.items())}

    def load(self, name: str, url: str) -> None:
        """Load the model folder ``url`` under ``name``, and return when it can answer.

        Raises:
            Refused: 400 for a name or a folder that cannot be, 404 if there is no such folder,
                409 if it is loaded, 507 if there is no memory for it, 500 if it does not load.
        """
        problem = rule_broken("name", name)
        if problem is not None:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the model_name cannot be: {problem}")
        with self._reserved(name):
            folder = Path(url)
            if not folder.is_dir():
                raise Refused(HTTPStatus.NOT_FOUND, f"there is no folder {url} (the url)")
            _check_memory(name, folder)
            try:
                stored = self._store_model(name, folder)
            except (MarqueeError, OSError) as error:
                message = f"{name} cannot be loaded: {error}"
                raise Refused(HTTPStatus.BAD_REQUEST, message) from error
            since = LogMarks.now(self._project)
            try:
                preflight.check_envelope(self._project, [stored.path])
                self._api.register(stored.path.name)
                named = (stored.name, stored.version)
                wait_loaded(self._project, self._api, *named, since=since, seconds=self._patience)
            except MarqueeError as error:
                self._remove(stored)
                no_memory = any(word in str(error) for word in MEMORY_WORDS)
                raise Refused(NO_MEMORY if no_memory else FAILED, str(error)) from error
            with self._lock:
                self._models[name] = stored, url
                self._door.map(maps.LOADED).set({name: "1"})

    def unload(self, name: str) -> None:
        """Let a model's waiting requests be answered, then remove it and free its memory.

        Raises:
            Refused: 404 if it is not loaded.
        """
        with self._lock:
            if name not in self._models:
                raise absent(name)
            stored, _ = self._models.pop(name)
            self._busy.add(name)
            self._door.map(maps.LOADED).remove(name)  # nothing new from here on
        try:
            self._drain(name)
            self._remove(stored)
        finally:
            with self._lock:
                self._busy.discard(name)

    @contextmanager
    def _reserved(self, name: str) -> Iterator[None]:
        """Keep two loads of one name apart."""
        with self._lock:
            if name in self._models or name in self._busy:
                raise Refused(HTTPStatus.CONFLICT, f"Model {name} is already registered")
            self._busy.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(name)

    def _store_model(self, name: str, folder: Path) -> StoredModel:
        """Put what a folder holds into the store under the name it was given."""
        inside = contents.find(folder, self._settings.program)
        if inside.script is not None:
            packages.check(inside.script, self._settings.requirements)
            return self._store.add_script(inside.script, name)
        if len(inside.archives) > 1:
            raise MarqueeError(f"{folder} holds {len(inside.archives)} archives, expected one")
        return self._store.add_archive(inside.archives[0], name)

    def _drain(self, name: str) -> None:
        """Wait for the answers to the requests that the door has let in."""
        counts: deque[int] = deque([1], maxlen=QUIET_POLLS)

        def quiet() -> bool:
            counts.append(self._door.in_flight_of_model(name))
            return not any(counts)

        until(quiet, DRAIN_SECONDS, POLL_SECONDS)

    def _remove(self, stored: StoredModel) -> None:
        try:
            self._api.unregister(stored.name, stored.version)
        finally:
            self._store.remove(stored)


def absent(name: str) -> Refused:
    """Return the refusal of a request to a model that is not loaded."""
    return Refused(HTTPStatus.NOT_FOUND, f"Model not found: {name[:300]}")


def _check_memory(name: str, folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed, left = COPIES * size + WORKER_BYTES, memory.available()
    if needed > left:
        raise Refused(
            NO_MEMORY,
            f"loading {name} takes about {needed >> 20} MB of memory and {left >> 20} MB are "
            "left; unload another model first",
        )
