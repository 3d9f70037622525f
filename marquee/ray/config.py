"""Ray Serve's configuration of an archive: TorchServe's settings in Ray's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

MODULE = "marquee_deployment"
IMPORT_PATH = f"{MODULE}:application"
# Nobody is asked for a token: who wants others to reach it changes that.
LOCAL = {"host": "127.0.0.1", "port": 8000}
# The name that the module gives its deployment.
DEPLOYMENT = "Model"
# TorchServe's own, where an archive does not say.
DEFAULTS = {
    "minWorkers": 1,
    "batchSize": 1,
    "maxBatchDelay": 100,
    "responseTimeout": 120,
    "jobQueueSize": 100,
}


def application(name: str, config: Mapping[str, Any], gpus: float | None = None) -> dict[str, Any]:
    """Return the application of Ray Serve that one archive is.

    Args:
        name: of the model.
        config: its model-config.yaml.
        gpus: that a replica takes, a part of one too; by default one where the model refuses to
            run without (``marquee: device: gpu``), else none.
    """
    known = DEFAULTS | {key: value for key, value in config.items() if value is not None}
    if gpus is None:
        gpus = float((config.get("marquee") or {}).get("device") == "gpu")
    deployment = {
        "name": DEPLOYMENT,
        # One batch is answered while the next one gathers.
        "max_ongoing_requests": 2 * int(known["batchSize"]),
        "max_queued_requests": int(known["jobQueueSize"]),
        "ray_actor_options": {"num_cpus": 1, "num_gpus": gpus},
        "user_config": {key: known[key] for key in ("batchSize", "maxBatchDelay")}
        | {"responseTimeout": known["responseTimeout"]},
    }
    return {
        "name": name,
        "route_prefix": "/",
        "import_path": IMPORT_PATH,
        "deployments": [deployment | _replicas(known)],
    }


def _replicas(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many replicas there are: as many as workers, by load where these may vary."""
    least = max(1, int(known["minWorkers"]))
    most = max(least, int(known.get("maxWorkers") or 0))
    if least == most:
        return {"num_replicas": least}
    wanted = int(known["batchSize"])
    bounds = {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": wanted}
    return {"autoscaling_config": bounds}


def text(application: Mapping[str, Any], http: Mapping[str, Any] | None = None) -> str:
    """Return what ``serve run`` takes as a file, and a RayService as ``serveConfigV2``.

    Args:
        http: where Ray listens; without it on all addresses, port 8000. A Serve that was started
            before, as in AWS's containers, stays where it is.
    """
    listening = {} if http is None else {"http_options": dict(http)}
    return yaml.safe_dump(listening | {"applications": [dict(application)]}, sort_keys=False)
