"""What is served, and how it is: what the parts of a server on Ray tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marquee.archives import reader
from marquee.archives.digests import file_digest
from marquee.errors import MarqueeError
from marquee.project import Project

QUEUE = 100
SECTION = "ray"


@dataclass(frozen=True)
class VersionSpec:
    """One version of one model, as it is to be served.

    Attributes:
        name, version: which.
        archive: file name in the model store.
        path: of the archive, on the machine of the project; it is sent to the others from there.
        sha256: of the archive's bytes.
        min_workers, max_workers: replicas; both 0 where the version is retired.
        batch_size: requests in a batch, at the most.
        max_batch_delay: milliseconds that a batch waits to fill; 0 takes what is there.
        response_timeout: seconds until a worker that does not answer a batch is ended.
        startup_timeout: seconds that a worker may take to load.
        queue: requests that may wait for a worker; one more is refused.
        gpus, cpus: of a replica; fractions share one.
        upscale_delay, downscale_delay: seconds that a queue must last before there is one replica
            more, and that there must be less to do before there is one less.
    """

    name: str
    version: str
    archive: str
    path: str
    sha256: str
    min_workers: int = 1
    max_workers: int = 1
    batch_size: int = 1
    max_batch_delay: float = 100.0
    response_timeout: float = 120.0
    startup_timeout: float = 120.0
    queue: int = QUEUE
    gpus: float = 0.0
    cpus: float = 0.0
    upscale_delay: float = 10.0
    downscale_delay: float = 300.0

    @property
    def slots(self) -> int:
        """How many requests a worker takes: a batch in its hands, and the next one."""
        return 2 * self.batch_size


@dataclass(frozen=True)
class ReplicaState:
    """One worker of a version, as it last told of itself.

    Attributes:
        name, version: whose.
        replica: what Serve calls its actor.
        state: ``starting``, ``ready`` or ``failed``.
        reason: the traceback of what failed, else empty.
        pid, node: the process, and Ray's id of its node.
        device: ``cpu``, or ``gpu 0`` and so on.
        started: seconds since 1970.
        memory: bytes that it holds in RAM.
        in_hand: requests it has taken and not answered.
        handled: requests it has answered.
    """

    name: str
    version: str
    replica: str
    state: str
    pid: int
    node: str
    device: str
    started: float
    memory: int = 0
    in_hand: int = 0
    handled: int = 0
    reason: str = ""


@dataclass(frozen=True)
class VersionState:
    """One version as it is served now.

    Attributes:
        spec: how it is to be.
        replicas: its workers.
        pending: requests that wait for one.
    """

    spec: VersionSpec
    replicas: tuple[ReplicaState, ...]
    pending: int

    @property
    def ready(self) -> int:
        """How many workers answer."""
        return sum(replica.state == "ready" for replica in self.replicas)


@dataclass(frozen=True)
class Route:
    """Who answers for a model.

    Attributes:
        default: the version that answers where none is named.
        versions: all that can be named.
        share: a canary's version, and the share of the requests without a version that it gets.
    """

    default: str
    versions: Mapping[str, VersionSpec]
    share: tuple[str, float] | None = None


@dataclass(frozen=True)
class Routes:
    """All that the door goes by.

    Attributes:
        key: SHA-256, in hex, of the key that requests need; empty where they need none.
        max_request_size, max_response_size: bytes.
        decode_input_request: whether handlers get JSON parsed, and text as str, unless they ask for
            bytes.
        default_model: who answers ``/invocations`` that name no model, if there are several.
        draining: whether nothing new is taken, since the server is about to stop.
        models: by name.
    """

    key: str = ""
    max_request_size: int = 6_553_500
    max_response_size: int = 6_553_500
    decode_input_request: bool = True
    default_model: str = ""
    draining: bool = False
    models: Mapping[str, Route] = field(default_factory=dict)


def spec_of(project: Project, archive: Path, name: str = "") -> VersionSpec:
    """Return how an archive of the model store is to be served.

    Its model-config.yaml says so in TorchServe's words, and in a section ``ray:`` of its own, which
    may have ``gpus``, ``cpus``, ``upscale_delay`` and ``downscale_delay``.

    Args:
        archive: a file; Ray sends it to other machines.
        name: of the model, if not the one that its manifest says.

    Raises:
        MarqueeError: it is no archive, a folder, or a setting of it makes no sense.
    """
    manifest, config = reader.read(archive), reader.config(archive)
    if archive.is_dir():
        raise MarqueeError(
            f"{archive} is a folder, and Ray's nodes need not share this disk; pack it: "
            f"cd {archive} && zip -qr ../{manifest.name}-{manifest.version}.mar ."
        )
    own = config.get(SECTION) or {}
    smallest, largest = _workers(project, config)
    return VersionSpec(
        name=name or manifest.name,
        version=manifest.version,
        archive=archive.name,
        path=str(archive.resolve()),
        sha256=file_digest(archive),
        min_workers=smallest,
        max_workers=largest,
        batch_size=int(_number(config, "batchSize", 1, archive, least=1)),
        max_batch_delay=_number(config, "maxBatchDelay", 100, archive),
        response_timeout=_number(config, "responseTimeout", _default_timeout(project), archive),
        startup_timeout=_number(config, "startupTimeout", 120, archive),
        queue=int(_number(config, "jobQueueSize", _queue(project), archive)),
        gpus=_number(own, "gpus", 1 if _wants_gpu(config) else 0, archive),
        cpus=_number(own, "cpus", 0, archive),
        upscale_delay=_number(own, "upscale_delay", 10, archive),
        downscale_delay=_number(own, "downscale_delay", 300, archive),
    )


def _workers(project: Project, config: Mapping[str, Any]) -> tuple[int, int]:
    """Return the fewest and the most workers; TorchServe heeds both settings or none."""
    usual = int(project.properties.get("default_workers_per_model") or 1)
    if not {"minWorkers", "maxWorkers"} <= config.keys():
        return usual, usual
    smallest = max(1, int(config["minWorkers"]))
    return smallest, max(smallest, int(config["maxWorkers"]))


def _default_timeout(project: Project) -> float:
    return float(project.properties.get("default_response_timeout") or 120)


def _queue(project: Project) -> float:
    return float(project.properties.get("job_queue_size") or QUEUE)


def _wants_gpu(config: Mapping[str, Any]) -> bool:
    section = config.get("marquee")
    device = section.get("device") if isinstance(section, dict) else None
    return "gpu" in (config.get("deviceType"), device)


def _number(
    config: Mapping[str, Any], key: str, usual: float, archive: Path, *, least: float = 0
) -> float:
    """Return a number of a configuration.

    Raises:
        MarqueeError: it is none, or too small.
    """
    value = config.get(key, usual)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise MarqueeError(
            f"{archive.name}: {key} in its model-config.yaml is {value!r}, expected a number of at "
            f"least {least:g}"
        )
    return float(value)
