"""What a running server serves: every version of every model, as an operator wants to see it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from marquee.archives import reader
from marquee.archives.manifest import version_order
from marquee.archives.store import StoreRecord
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.management import Management, Version
from marquee.torchserve.tokens import moment


@dataclass(frozen=True)
class ModelState:
    """One version of one model on the server.

    Attributes:
        name, version: which.
        default: whether it answers requests that name no version.
        state: ``ready``, ``loading`` (fewer workers than wanted) or ``retired`` (none wanted).
        ready, wanted: workers that have loaded, and that there should be.
        pending, queue: requests that wait, and room for them; not those in a worker's hands.
        batch_size: requests in a batch, at the most.
        batch_delay: milliseconds that a batch waits to fill.
        memory: bytes that its workers hold in RAM (RSS; pages they share count in each).
        devices: such as ``("cpu",)`` or ``("gpu 0", "gpu 1")``.
        since: when its oldest worker was started; None without workers.
        archive: file name in the model store.
        sha256: of that file; None where it is not there, or unpacked.
        weights: ``demo``, or the user's file in it and the start of its SHA-256; None where the
            archive does not say.
        unpacked: whether it lies there as a folder.
        replaced: whether the file is newer than the workers: it is not what they loaded.
    """

    name: str
    version: str
    default: bool
    state: str
    ready: int
    wanted: int
    pending: int
    queue: int
    batch_size: int
    batch_delay: int
    memory: int
    devices: tuple[str, ...]
    since: datetime | None
    archive: str
    sha256: str | None
    weights: str | None
    replaced: bool
    unpacked: bool


def models(project: Project) -> list[ModelState]:
    """Return the state of every version on the project's running server.

    Raises:
        MarqueeError: no server answers.
    """
    with Management.of(project) as api:
        return of_server(api, project.model_store)


def of_server(api: Management, store: Path | None = None) -> list[ModelState]:
    """Return the state of every version on a running server.

    Args:
        api: a connection to it.
        store: its model store; None where that is of another machine, as its workers are then.

    Raises:
        MarqueeError: it does not answer.
    """
    record = None if store is None else StoreRecord(store)
    found = [state for name in api.models() for state in _states(api, name, record)]
    if record is not None:
        # A cache: where the store cannot be written, archives are hashed again the next time.
        with contextlib.suppress(OSError):
            record.save()
    return found


def _states(api: Management, name: str, record: StoreRecord | None) -> Iterator[ModelState]:
    default = api.default(name)
    for one in sorted(api.versions(name), key=lambda one: version_order(one.version)):
        yield _state(one, default=one.version == default, record=record)


def _state(one: Version, *, default: bool, record: StoreRecord | None) -> ModelState:
    name = Path(one.archive).name
    archive = None if record is None else record.store / name
    since = min((moment(worker["startTime"]) for worker in one.workers), default=None)
    there = archive is not None and archive.is_file()
    return ModelState(
        name=one.name,
        version=one.version,
        default=default,
        state=_word(one),
        ready=one.loaded,
        wanted=one.min_workers,
        pending=one.pending,
        queue=one.queue,
        batch_size=one.batch_size,
        batch_delay=one.max_batch_delay,
        memory=sum(_resident(worker, here=record is not None) for worker in one.workers),
        devices=tuple(sorted(set(_devices(one)))),
        since=since,
        archive=name,
        sha256=record.digest_of(archive) if record and archive and there else None,
        weights=None if archive is None else _weights(archive),
        replaced=there and since is not None and archive is not None and _newer(archive, since),
        unpacked=archive is not None and archive.is_dir(),
    )


def _newer(archive: Path, since: datetime) -> bool:
    """Whether a file was written after a moment, which TorchServe tells in whole milliseconds."""
    return archive.stat().st_mtime_ns // 1_000_000 > round(since.timestamp() * 1000)


def _weights(archive: Path) -> str | None:
    try:
        return reader.read(archive).weights_origin
    except MarqueeError:
        return None  # no archive of ours, or not there


def _word(one: Version) -> str:
    if one.min_workers == 0 and not one.workers:
        return "retired"
    return "ready" if one.ready else "loading"


def _devices(one: Version) -> Iterator[str]:
    """Yield the device of each worker; TorchServe tells a GPU's number in its usage text only."""
    for worker in one.workers:
        number = re.search(r"gpuId::(\d+)", str(worker.get("gpuUsage", "")))
        gpu = f"gpu {number[1]}" if number else "gpu"
        yield gpu if worker.get("gpu") else "cpu"


def _resident(worker: Mapping[str, Any], *, here: bool) -> int:
    """Return the bytes a worker holds; 0 for one that has just ended.

    TorchServe's own ``memoryUsage`` is 0 until it has first looked, and a minute old later. A Ray
    server's is what it is, and its worker may be a process of another machine.
    """
    if "node" in worker or not here:
        return int(worker["memoryUsage"])
    try:
        return int(psutil.Process(int(worker["pid"])).memory_info().rss)
    except (psutil.Error, ValueError):
        return 0
