"""A version as TorchServe's management API describes it, from what is known of it on Ray."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from marquee.ray.registry import Registry
from marquee.ray.spec import ReplicaState, VersionState
from marquee.torchserve.management import READY

STATUS = {"ready": READY, "starting": "LOADING", "stopping": "UNLOADING", "failed": "FAILED"}


def describe(registry: Registry, version: VersionState) -> dict[str, Any]:
    """Return a version's description.

    Beyond TorchServe's: ``drains``, ``failure`` and a worker's ``node``, which
    :class:`marquee.torchserve.management.Version` explains.
    """
    spec = version.spec
    return {
        "modelName": spec.name,
        "modelVersion": spec.version,
        "modelUrl": spec.archive,
        "runtime": "python",
        "minWorkers": spec.min_workers,
        "maxWorkers": spec.max_workers,
        "batchSize": spec.batch_size,
        "maxBatchDelay": round(spec.max_batch_delay),
        "responseTimeout": round(spec.response_timeout),
        "workers": [_worker(one) for one in version.replicas if one.state != "failed"],
        "jobQueueStatus": {
            "pendingRequests": version.pending,
            "remainingCapacity": max(0, spec.queue - version.pending),
        },
        "drains": True,
        "failure": registry.failure(version),
    }


def _worker(one: ReplicaState) -> dict[str, Any]:
    kind, _, number = one.device.partition(" ")
    started = datetime.fromtimestamp(one.started, timezone.utc)
    return {
        "id": one.replica,
        "startTime": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": STATUS[one.state],
        "memoryUsage": one.memory,
        "pid": one.pid,
        "gpu": kind == "gpu",
        "gpuUsage": f"gpuId::{number}" if kind == "gpu" else "N/A",
        "node": one.node,
    }
