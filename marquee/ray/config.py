"""Ray Serve's configuration of an archive: TorchServe's settings in Ray's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from marquee.ray.spec import VersionSpec

MODULE = "marquee_deployment"
IMPORT_PATH = f"{MODULE}:application"
# Nobody is asked for a token: who wants others to reach it changes that.
LOCAL = {"host": "127.0.0.1", "port": 8000}
# The name that the module gives its deployment.
DEPLOYMENT = "Model"


def application(spec: VersionSpec) -> dict[str, Any]:
    """Return the application of Ray Serve that one archive is, with nothing of marquee around."""
    deployment = {
        "name": DEPLOYMENT,
        # One batch is answered while the next one gathers.
        "max_ongoing_requests": 2 * spec.batch_size,
        "max_queued_requests": spec.queue,
        "ray_actor_options": {"num_cpus": spec.cpus, "num_gpus": spec.gpus},
        "user_config": {
            "batchSize": spec.batch_size,
            "maxBatchDelay": spec.max_batch_delay,
            "responseTimeout": spec.response_timeout,
        },
    }
    return {
        "name": spec.name,
        "route_prefix": "/",
        "import_path": IMPORT_PATH,
        "deployments": [deployment | _replicas(spec)],
    }


def _replicas(spec: VersionSpec) -> dict[str, Any]:
    """Return how many replicas there are: as many as workers, by load where these may vary."""
    if spec.min_workers == spec.max_workers:
        return {"num_replicas": spec.min_workers}
    bounds = {
        "min_replicas": spec.min_workers,
        "max_replicas": spec.max_workers,
        "target_ongoing_requests": spec.batch_size,
        "upscale_delay_s": spec.upscale_delay,
        "downscale_delay_s": spec.downscale_delay,
    }
    return {"autoscaling_config": bounds}


def text(application: Mapping[str, Any], http: Mapping[str, Any] | None = None) -> str:
    """Return what ``serve run`` takes as a file, and a RayService as ``serveConfigV2``.

    Args:
        http: where Ray listens; without it on all addresses, port 8000. A Serve that was started
            before, as in AWS's containers, stays where it is.
    """
    listening = {} if http is None else {"http_options": dict(http)}
    return yaml.safe_dump(listening | {"applications": [dict(application)]}, sort_keys=False)
