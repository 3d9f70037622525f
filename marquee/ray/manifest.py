"""The RayService that KubeRay runs a packed model by, from the same description as its pack."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import yaml

from marquee.ray import config
from marquee.ray.spec import VersionSpec

# Of the image; Ray's nodes must all have the same.
RAY = "2.60.0"
# Where the image has the unpacked pack, and the pods may write.
MODEL = "/opt/ml/model"
WRITABLE = {"tmp": ("/tmp", "4Gi"), "memory": ("/dev/shm", "1Gi")}  # noqa: S108 - in the pod
USER = 1000  # ray, of Ray's own images
GPU = "nvidia.com/gpu"
PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": 8000}
CPU_HEAD, MEMORY_HEAD = 2, "4Gi"


@dataclass(frozen=True)
class Pods:
    """What the pods are: one replica of the model in each.

    Attributes:
        image: with Ray, torch and the unpacked pack.
        cpus, memory: of a worker pod; Kubernetes' words.
    """

    image: str
    cpus: int = 2
    memory: str = "4Gi"


def ray_service(spec: VersionSpec, pods: Pods) -> dict[str, Any]:
    """Return the RayService of a version, each of whose replicas fills a pod."""
    application = config.application(replace(spec, cpus=float(pods.cpus)))
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": f"{spec.name.lower().replace('_', '-')}-ray"},
        "spec": {
            "serveConfigV2": config.text(application),
            "rayClusterConfig": {
                "rayVersion": RAY,
                # Whoever reaches Ray's ports without the token may run code there.
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {
                    "idleTimeoutSeconds": 300,
                    "securityContext": _container_security(),
                },
                "headGroupSpec": _head(pods),
                "workerGroupSpecs": [_workers(spec, pods)],
            },
        },
    }


def text(service: dict[str, Any]) -> str:
    """Return a manifest as `kubectl apply -f` takes it."""
    return yaml.dump(service, Dumper=_Readable, sort_keys=False)


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _lines(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Readable.add_representer(str, _lines)


def _head(pods: Pods) -> dict[str, Any]:
    """Return the head: it keeps the books and starts pods, and no replica is placed on it."""
    container = _container("ray-head", pods.image, {"cpu": str(CPU_HEAD), "memory": MEMORY_HEAD})
    container["ports"] = [{"name": name, "containerPort": at} for name, at in PORTS.items()]
    return {
        "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104 - the operator asks it
        "template": {"spec": _pod(container)},
    }


def _workers(spec: VersionSpec, pods: Pods) -> dict[str, Any]:
    limits = {"cpu": str(pods.cpus), "memory": pods.memory}
    if spec.gpus:
        limits[GPU] = str(math.ceil(spec.gpus))
    # The autoscaler alone, on the head, talks to Kubernetes.
    pod = {"automountServiceAccountToken": False} | _pod(
        _container("ray-worker", pods.image, limits)
    )
    return {
        "groupName": "workers",
        "replicas": spec.min_workers,
        "minReplicas": spec.min_workers,
        "maxReplicas": spec.max_workers,
        "rayStartParams": {},
        "template": {"spec": pod},
    }


def _pod(container: dict[str, Any]) -> dict[str, Any]:
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {
                "name": name,
                "emptyDir": {"sizeLimit": size}
                | ({"medium": "Memory"} if name == "memory" else {}),
            }
            for name, (_, size) in WRITABLE.items()
        ],
    }


def _container(name: str, image: str, limits: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "env": [
            {"name": "PYTHONPATH", "value": MODEL},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - in the pod
            {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
        ],
        "securityContext": _container_security() | {"readOnlyRootFilesystem": True},
        "resources": {"limits": limits, "requests": limits},
        "volumeMounts": [{"name": name, "mountPath": path} for name, (path, _) in WRITABLE.items()],
    }


def _container_security() -> dict[str, Any]:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
