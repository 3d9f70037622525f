"""The RayService: generated, for pods that Kubernetes' schema and its restricted policy take."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

import kubernetes_validate
import pytest
import yaml

from marquee.ray import manifest
from marquee.ray.spec import VersionSpec
from tests.support import ROOT

FOLDER = ROOT / "deploy" / "kubernetes" / "ray"
KEPT = FOLDER / "rayservice.yaml"
VERSIONS = ("1.28", kubernetes_validate.latest_version())
# Of RayService and RayCluster, by KubeRay's reference of its fields.
FIELDS = {
    "spec": {"serveConfigV2", "rayClusterConfig"},
    "cluster": {
        *("rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions"),
        *("headGroupSpec", "workerGroupSpecs"),
    },
    "head": {"rayStartParams", "template"},
    "workers": {
        *("groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    },
}


def service(**settings: Any) -> dict[str, Any]:
    spec = VersionSpec("cifar", "2.0", "cifar-2.0.mar", "", "", **settings)
    return manifest.ray_service(spec, manifest.Pods("marquee-ray:cifar-2.0"))


def pods(made: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = made["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_kept_manifest_is_what_the_command_prints() -> None:
    room = yaml.safe_load((ROOT / "handlers" / "cifar" / "model-config.yaml").read_text())
    made = service(batch_size=room["batchSize"], max_batch_delay=float(room["maxBatchDelay"]))
    comment, _, kept = KEPT.read_text().partition("\n")
    assert comment.startswith("# marquee ray manifest cifar --image ")
    assert kept == manifest.text(made)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("gpus", [0.0, 0.5])
def test_kubernetes_takes_the_pods(version: str, gpus: float) -> None:
    for spec in pods(service(gpus=gpus)):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
        kubernetes_validate.validate(pod, version, strict=True)


def test_only_documented_fields_are_set() -> None:
    made = service()
    cluster = made["spec"]["rayClusterConfig"]
    assert set(made["spec"]) == FIELDS["spec"]
    assert set(cluster) == FIELDS["cluster"]
    assert set(cluster["headGroupSpec"]) == FIELDS["head"]
    assert set(cluster["workerGroupSpecs"][0]) == FIELDS["workers"]


def test_pods_keep_to_the_restricted_policy() -> None:
    for spec in pods(service()):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_models_run_where_no_token_of_kubernetes_is() -> None:
    head, workers = pods(service())
    assert workers["automountServiceAccountToken"] is False
    assert "automountServiceAccountToken" not in head  # its autoscaler needs one
    cluster = service()["spec"]["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_pods_come_and_go_within_the_models_bounds() -> None:
    (group,) = service(min_workers=2, max_workers=5)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert (group["minReplicas"], group["maxReplicas"]) == (2, 5)


def test_a_share_of_a_gpu_asks_for_a_whole_one() -> None:
    _, workers = pods(service(gpus=0.5))
    assert workers["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_replica_fills_its_pod() -> None:
    application = yaml.safe_load(service()["spec"]["serveConfigV2"])["applications"][0]
    assert application["deployments"][0]["ray_actor_options"]["num_cpus"] == 2


def test_ray_is_the_same_version_everywhere() -> None:
    (image,) = re.findall(r"ARG RAY=([\d.]+)-", (FOLDER / "Dockerfile").read_text())
    assert image == manifest.RAY == metadata.version("ray")
