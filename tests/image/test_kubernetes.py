"""The Deployment as Kustomize renders it, run by podman. Run by make image-test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.kubernetes import validate
from marquee.interrupts import until
from tests.container.hosts import ECHO, ENGINE, IMAGE, READY_SECONDS, engine, open_to_all
from tests.handlers.script.harness import make_folder
from tests.support import free_ports

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not IMAGE, reason="no image to test; make image-test builds one"),
    pytest.mark.skipif(ENGINE != "podman", reason="podman alone plays Kubernetes' manifests"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl not installed"),
]


def on_this_machine(deployment: dict[str, Any], models: Path, port: int) -> dict[str, Any]:
    """Return the rendered Deployment with what a cluster would give it: image, volume, address."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container |= {"image": IMAGE, "imagePullPolicy": "Never"}
    container["ports"][0]["hostPort"] = port
    for volume in pod["volumes"]:
        if volume["name"] == "models":
            volume.pop("persistentVolumeClaim")
            volume["hostPath"] = {"path": str(models)}
    return deployment


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("kubernetes")
    open_to_all(make_folder(folder / "models", ECHO))
    (port,) = free_ports(1)
    rendered = validate.render(validate.FOLDER / "overlays" / "cpu")
    (deployment,) = (one for one in rendered if one["kind"] == "Deployment")
    manifest = folder / "deployment.yaml"
    manifest.write_text(yaml.safe_dump(on_this_machine(deployment, folder / "models", port)))
    engine("kube", "play", str(manifest))
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as made:
            yield made
    finally:
        engine("kube", "down", str(manifest), check=False)


def status(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


def test_the_pod_gets_ready_and_answers(client: httpx.Client) -> None:
    assert until(lambda: status(client, "/ping") == 200, READY_SECONDS)
    assert status(client, "/live") == 200
    assert client.get("/v1/models").json() == {"models": ["model"]}
    assert client.post("/predictions/model", content=b"hello").content == b"hello"
    assert client.post("/v1/models/model:predict", content=b"[1]").content == b"[1]"
