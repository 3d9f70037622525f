"""The manifests: what they must say where no schema is, and what their numbers come from."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kubernetes import policies, validate
from marquee.container import variables
from marquee.container.inherited import TORCHSERVE
from marquee.container.modelstore import RESPONSE_TIMEOUT
from marquee.front.process import STOP_SECONDS as DOOR_SECONDS
from marquee.torchserve.server import STOP_SECONDS as SERVER_SECONDS
from tests.support import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
WRITTEN = {
    (path.parent.name, document["kind"], document["metadata"]["name"]): document
    for path, document in validate.written()
}
DEPLOYMENT = WRITTEN["base", "Deployment", "marquee"]
RUNTIME = WRITTEN["kserve", "ServingRuntime", "marquee"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]

# Fields of others' resources, by their documentation: name -> required, then what there is besides.
OTHERS: dict[str, tuple[set[str], set[str]]] = {
    "ServiceMonitor": ({"selector", "endpoints"}, {"jobLabel", "namespaceSelector"}),
    "ScaledObject": (
        {"scaleTargetRef", "triggers"},
        {
            "pollingInterval",
            "cooldownPeriod",
            "minReplicaCount",
            "maxReplicaCount",
            "fallback",
            "advanced",
        },
    ),
    "ServingRuntime": (
        {"containers", "supportedModelFormats"},
        {"annotations", "labels", "protocolVersions", "volumes", "multiModel", "disabled"},
    ),
    "InferenceService": ({"predictor"}, {"explainer", "transformer"}),
}
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl not installed")


def find(rendered: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (one for one in rendered if one["kind"] == kind)
    return found


def test_the_files_keep_to_schemas_and_policies() -> None:
    whole = [one for (folder, *_), one in WRITTEN.items() if folder in ("base", "kserve")]
    assert len(whole) > 7
    assert list(validate.problems(whole)) == []


@needs_kubectl
def test_what_is_rendered_keeps_to_schemas_and_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert {path.name for path in validate.overlays()} >= {"cpu", "gpu", "kserve"}
    assert validate.main() == 0, capsys.readouterr().err


def test_the_schemas_go_back_to_1_28() -> None:
    assert validate.versions()[0] == "1.28"
    assert len(validate.versions()) >= 10
    wrong = copy.deepcopy(DEPLOYMENT)
    wrong["spec"]["replica"] = 2
    found = list(validate.schema_problems([wrong]))
    assert len(found) == len(validate.versions())
    assert "'replica' was unexpected" in found[0]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("hostNetwork", True, "hostNetwork is the node's"),
        ("securityContext", {}, "may be root"),
        ("securityContext", {"runAsNonRoot": True}, "any system call"),
        ("volumes", [{"name": "v", "hostPath": {"path": "/"}}], "kind hostPath"),
        ("volumes", [{"name": "v", "emptyDir": {}}], "set emptyDir.sizeLimit"),
        ("automountServiceAccountToken", True, "Kubernetes' token"),
        ("containers.0.securityContext.allowPrivilegeEscalation", True, "gain rights"),
        ("containers.0.securityContext.capabilities", {"add": ["KILL"]}, "keeps capabilities"),
        ("containers.0.securityContext.readOnlyRootFilesystem", False, "its own files"),
        ("containers.0.securityContext.runAsUser", 0, "may be root"),
        ("containers.0.ports", [{"containerPort": 1, "hostPort": 1}], "port of the node's"),
        ("containers.0.resources", {}, "all of the node's memory"),
        ("containers.0.image", "marquee", "another image tomorrow"),
        ("containers.0.image", "host:5000/marquee:latest", "another image tomorrow"),
    ],
)
def test_a_pod_that_may_more_is_told(place: str, value: Any, words: str) -> None:
    changed = copy.deepcopy(DEPLOYMENT)
    *way, last = place.split(".")
    spot = changed["spec"]["template"]["spec"]
    for step in way:
        spot = spot[int(step) if step.isdecimal() else step]
    spot[last] = value
    assert words in " ".join(policies.problems(changed))


def test_the_grace_time_is_longer_than_a_drain() -> None:
    preparing = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = 2 * RESPONSE_TIMEOUT  # as marquee.container.serve has it
    needed = preparing + drain + DOOR_SECONDS + SERVER_SECONDS
    assert needed <= POD["terminationGracePeriodSeconds"] <= 2 * needed


def test_probes_ask_what_the_front_door_answers() -> None:
    paths = {kind: CONTAINER[kind]["httpGet"]["path"] for kind in CONTAINER if "Probe" in kind}
    assert paths == {"startupProbe": "/live", "livenessProbe": "/live", "readinessProbe": "/ping"}
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": 8080}]


def test_the_image_is_this_release_and_gets_variables_that_it_knows() -> None:
    found = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    image = f"marquee:{found[1]}"
    known = {*variables.fields_of_variables(), *TORCHSERVE, "NVIDIA_VISIBLE_DEVICES"}
    for document in WRITTEN.values():
        spec = document.get("spec", {})
        spec = spec.get("template", {}).get("spec", spec)
        for container in spec.get("containers", []):
            assert container.get("image", image) == image
            assert {one["name"] for one in container.get("env", [])} <= known


@pytest.mark.parametrize("key", [key for key in WRITTEN if key[1] in OTHERS], ids=str)
def test_others_resources_have_the_fields_of_their_documentation(key: tuple[str, str, str]) -> None:
    required, optional = OTHERS[key[1]]
    assert required <= WRITTEN[key]["spec"].keys() <= required | optional


def test_the_operators_resources_say_what_their_kinds_want() -> None:
    (endpoint,) = WRITTEN["monitoring", "ServiceMonitor", "marquee"]["spec"]["endpoints"]
    ports = WRITTEN["monitoring", "Service", "marquee"]["spec"]["ports"]
    assert endpoint["port"] in {port["name"] for port in ports}
    (trigger,) = WRITTEN["keda", "ScaledObject", "marquee"]["spec"]["triggers"]
    assert {"serverAddress", "query", "threshold"} == trigger["metadata"].keys()
    assert float(trigger["metadata"]["threshold"]) > 0
    job = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())
    assert f'job="{job["scrape_configs"][0]["job_name"]}"' in trigger["metadata"]["query"]


def test_the_autoscaler_asks_for_the_metric_that_the_adapter_makes() -> None:
    (rule,) = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    (metric,) = WRITTEN["hpa", "HorizontalPodAutoscaler", "marquee"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    # TorchServe's own, which deploy/monitoring's tests find on a running server.
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series is not None
    assert series[0] in (ROOT / "deploy/monitoring/alerts.yml").read_text()


def test_kserves_runtime_is_told_where_the_model_is_and_its_name() -> None:
    (container,) = RUNTIME["spec"]["containers"]
    assert container["name"] == "kserve-container"
    told = {one["name"]: one["value"] for one in container["env"]}
    assert (told["MARQUEE_MODEL_DIR"], told["MARQUEE_MODEL_NAME"]) == ("/mnt/models", "{{.Name}}")
    assert RUNTIME["spec"]["protocolVersions"] == ["v1", "v2"]
    model = WRITTEN["kserve", "InferenceService", "cifar"]["spec"]["predictor"]["model"]
    formats = {one["name"] for one in RUNTIME["spec"]["supportedModelFormats"]}
    assert model["modelFormat"]["name"] in formats
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    # As KServe fills in the name, before anything is read of it.
    named = json.loads(json.dumps(told).replace("{{.Name}}", "my-cifar"))
    settings = variables.read(named)
    assert (settings.model_dir, settings.model_name) == (Path("/mnt/models"), "my-cifar")


@needs_kubectl
def test_components_change_what_they_should() -> None:
    cpu, gpu = map(validate.render_choice, validate.CHOICES)
    for rendered in (cpu, gpu):
        inside = [one["metadata"] for one in rendered if one["kind"] != "Namespace"]
        assert {one.get("namespace") for one in inside} == {"marquee"}
        pod = find(rendered, "Deployment")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert "replicas" not in find(rendered, "Deployment")["spec"]
        assert {port["name"] for port in container["ports"]} == {"http", "metrics"}
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert mounts == {"models": "/opt/ml/model", "tmp": "/tmp", "shm": "/dev/shm"}  # noqa: S108
        (copying,) = pod["initContainers"]
        assert copying["args"][-2:] == ["$(MODELS)", "/models"]
        ports = {port["name"] for port in find(rendered, "Service")["spec"]["ports"]}
        assert ports == {"http", "metrics"}
    limits = find(gpu, "Deployment")["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert limits["limits"]["nvidia.com/gpu"] == 1
    scalers = {"HorizontalPodAutoscaler", "ScaledObject"}
    assert [{one["kind"] for one in rendered} & scalers for rendered in (cpu, gpu)] == [
        {"HorizontalPodAutoscaler"},
        {"ScaledObject"},
    ]


@needs_kubectl
def test_the_pages_example_is_an_overlay(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    here = os.path.relpath(FOLDER, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(example.replace("marquee/deploy/kubernetes", here))
    rendered = validate.render(tmp_path)
    pod = find(rendered, "Deployment")["spec"]["template"]["spec"]
    env = {one["name"]: one["value"] for one in pod["initContainers"][0]["env"]}
    assert env["MODELS"] == "s3://my-bucket/models/"
    assert pod["containers"][0]["image"].endswith("amazonaws.com/marquee:0.2.0")
    assert list(policies.problems(find(rendered, "Deployment"))) == []
