"""Packs answer in Ray Serve what their archives answer in TorchServe, without marquee beside them.

By the environment's own Python, and by the one that MARQUEE_RAY_PYTHON names: `make ray-pack-test`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from marquee.archives import golden
from marquee.archives.trial import environment
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


# Asks the unpacked archive of the working directory as a worker of TorchServe does.
ASKING = """
import json, sys
from pathlib import Path
from marquee.archives.worker import OfflineWorker, WorkerRequest

worker = OfflineWorker(Path.cwd())
for headers, body in json.load(sys.stdin):
    (reply,) = worker.ask(WorkerRequest(headers, bytes.fromhex(body)))
    print(json.dumps([reply.status, reply.content_type, reply.body.hex()]))
"""


def test_answers_are_those_of_torchserve_byte_for_byte(client: httpx.Client, folder: Path) -> None:
    example = (folder / "archive" / "example.png").read_bytes()
    picture, anything = {"content-type": "image/png"}, {"accept": "*/*"}
    requests = [
        (picture | {"accept": "application/json"}, example),
        (picture | {"accept": "application/x-npy"}, example),
        (picture | {"accept": "text/html"}, example),
        (picture | anything, b"no picture"),
        ({"content-type": "application/json"} | anything, b'{"b64": "????"}'),
        (picture | anything | {"explain": "True"}, example),
        (anything, b""),
    ]
    done = subprocess.run(
        [sys.executable, "-c", ASKING],
        input=json.dumps([(headers, body.hex()) for headers, body in requests]),
        cwd=folder / "archive",
        env=environment(folder / "archive"),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert {status for status, _, _ in expected} >= {200, 400, 406}
    answers = [client.post("/", headers=headers, content=body) for headers, body in requests]
    assert [
        [one.status_code, one.headers["content-type"], one.content.hex()] for one in answers
    ] == expected


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
