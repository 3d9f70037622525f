"""Packs answer in Ray Serve what their archives answer in TorchServe, without marquee beside them.

By the environment's own Python, and by the one that MARQUEE_RAY_PYTHON names: `make ray-pack-test`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from marquee.archives import golden
from marquee.project import Project
from marquee.ray.pack import pack
from tests.ray.packs import as_adapter_sends, served, unpack

pytestmark = pytest.mark.server
VARIABLE = "MARQUEE_RAY_PYTHON"
OTHER = os.environ.get(VARIABLE)
MODELS = ("cifar", "inkwash", "rotifer", "smoke", "timetravel")


@pytest.fixture(scope="module")
def folder(small_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an unpacked pack of cifar."""
    scratch = tmp_path_factory.mktemp("pack")
    return unpack(pack(small_project, "cifar", output=scratch / "model.tar.gz").path, scratch)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with served(folder) as made:
        yield made


def check_golden(client: httpx.Client, archive: Path) -> None:
    requests = golden.read(archive)
    assert requests
    for request in requests:
        answer = client.post("/", content=request.body, headers=as_adapter_sends(request))
        kind = answer.headers["content-type"]
        assert request.problem(answer.status_code, kind, answer.content) is None


def test_golden_requests_are_answered(client: httpx.Client, folder: Path) -> None:
    check_golden(client, folder / "archive")


def test_an_answer_says_which_version_gave_it(client: httpx.Client, folder: Path) -> None:
    body = (folder / "archive" / "example.png").read_bytes()
    answer = client.post("/", content=body, headers={"Content-Type": "image/png"})
    assert answer.headers["x-marquee-version"] == "cifar/2.0"
    assert "model;dur=" in answer.headers["server-timing"]


def test_parameters_come_with_the_custom_attributes(client: httpx.Client, folder: Path) -> None:
    body = (folder / "archive" / "example.png").read_bytes()
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "X-Marquee-Top-K=2"}
    answer = client.post("/", content=body, headers=headers | {"Content-Type": "image/png"})
    assert len(answer.json()["probabilities"]) == 2


def test_a_bad_request_gets_the_archives_own_error(client: httpx.Client) -> None:
    answer = client.post("/", content=b"no picture", headers={"Content-Type": "image/png"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "BadRequestException"


def test_another_models_address_is_refused(client: httpx.Client) -> None:
    answer = client.get("/predictions/inkwash")
    assert answer.status_code == 404
    assert "there is cifar at /" in answer.json()["message"]


@pytest.mark.skipif(OTHER is None, reason=f"{VARIABLE} names no Python with Ray and torch")
@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_answered_by_another_python(
    model: str, project: Project, detectors_project: Project, tmp_path: Path
) -> None:
    home = project if model in ("cifar", "inkwash") else detectors_project
    packed = pack(home, model, "1.0", tmp_path / "model.tar.gz")
    folder = unpack(packed.path, tmp_path / "model")
    with served(folder, Path(OTHER or "")) as other:
        check_golden(other, folder / "archive")
