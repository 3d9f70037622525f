"""Models on a cluster of three nodes, as their clients meet them."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from marquee.archives import golden
from marquee.front.refusals import REFUSALS
from marquee.project import Project
from tests.front.support import wait_for
from tests.ray.conftest import Nodes
from tests.server.test_content_types import BODIES, CIFAR, SHIP
from tests.server.test_errors import BAD
from tests.support import BIN, Running, make_project, marquee, server_environment, serving

pytestmark = pytest.mark.server
DIED = REFUSALS["worker_ended"].message
PROBE = Path(__file__).parent / "probe.py"
GOLDEN_CIFAR = ("91.0", "92.0")
# By version: two workers that cannot be on one node; as many as there is work for; one in a hurry.
PROBES: dict[str, dict[str, Any]] = {
    "1.0": {"minWorkers": 2, "maxWorkers": 2, "ray": {"cpus": 0.6}},
    "2.0": {"minWorkers": 1, "maxWorkers": 2, "ray": {"upscale_delay": 1, "downscale_delay": 1}},
    "3.0": {"minWorkers": 1, "maxWorkers": 1, "responseTimeout": 2, "jobQueueSize": 2},
}


def write_probe(folder: Path, version: str, config: dict[str, Any]) -> None:
    """Write an archive of the handler that does as it is told."""
    model = {
        "modelName": "probe",
        "modelVersion": version,
        "handler": "probe.py",
        "configFile": "model-config.yaml",
    }
    config = {"batchSize": 1, "maxBatchDelay": 0} | config
    with zipfile.ZipFile(folder / f"probe-{version}.mar", "w") as archive:
        archive.write(PROBE, "probe.py")
        archive.writestr("model-config.yaml", yaml.safe_dump(config))
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))


@pytest.fixture(scope="module")
def on_ray(
    cluster: str, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server on the cluster: cifar with golden weights, and the probe."""
    made = make_project(tmp_path_factory.mktemp("ray") / "project", "cifar")
    for version in GOLDEN_CIFAR:
        shutil.copy2(project.model_store / f"cifar-{version}.mar", made.model_store)
    for version, config in PROBES.items():
        write_probe(made.model_store, version, config)
    limit = {"TS_MAX_REQUEST_SIZE": "1000000"}
    with serving(made, BIN / "marquee", "ray", "serve", "--address", cluster, **limit) as running:
        yield running


@pytest.fixture
def client(on_ray: Running) -> Iterator[httpx.Client]:
    with on_ray.client() as made:
        yield made


def told(client: httpx.Client, version: str, words: str) -> httpx.Response:
    return client.post(f"/predictions/probe/{version}", content=words)


def at_once(running: Running, version: str, words: str, count: int) -> list[httpx.Response]:
    """Send a request several times side by side; return the answers."""
    return at_once_each(running, version, *[words] * count)


def at_once_each(running: Running, version: str, *bodies: str) -> list[httpx.Response]:
    """Send requests side by side, in this order; return their answers."""

    async def all_of_them() -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {running.keys.get('inference')}"}
        limits = httpx.Limits(max_connections=len(bodies))
        async with httpx.AsyncClient(
            base_url=running.inference, headers=headers, timeout=60, limits=limits, trust_env=False
        ) as client:
            path = f"/predictions/probe/{version}"
            return await asyncio.gather(*(client.post(path, content=one) for one in bodies))

    return asyncio.run(all_of_them())


def workers(running: Running, version: str) -> list[int]:
    return running.worker_pids("probe", version)


@pytest.mark.parametrize("version", GOLDEN_CIFAR)
def test_golden_weights_answer_as_on_torchserve(
    client: httpx.Client, on_ray: Running, version: str
) -> None:
    path = f"/predictions/cifar/{version}"
    for one in golden.read(on_ray.project.model_store / f"cifar-{version}.mar"):
        answer = client.post(path, content=one.body, headers=dict(one.headers))
        kind = answer.headers.get("content-type", "")
        assert one.problem(answer.status_code, kind, answer.content) is None
        assert answer.headers["x-marquee-version"] == f"cifar/{version}"
        assert "model;dur=" in answer.headers["server-timing"]


def test_every_form_of_a_body_is_read(client: httpx.Client) -> None:
    path = "/predictions/cifar/91.0"
    expected = client.post(path, content=SHIP).json()
    for form, sent in BODIES.items():
        answer = client.post(path, **sent)
        assert answer.status_code == 200, f"{form}: {answer.text}"
        said = answer.json()
        (said,) = said.get("predictions", [said])
        assert said["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5), form


def test_every_bad_request_gets_its_own_error(client: httpx.Client) -> None:
    for what, (status, path, sent, words) in BAD.items():
        if path == CIFAR:
            answer = client.post(f"{path}/91.0", **sent)
            assert (what, answer.status_code) == (what, status), answer.text
            assert words in answer.json()["message"], what


@pytest.mark.parametrize(
    ("path", "status", "kind", "words"),
    [
        ("/predictions/nobody", 404, "ModelNotFoundException", "Model not found: nobody"),
        (
            "/predictions/cifar/7",
            404,
            "ModelVersionNotFoundException",
            "Model version: 7 does not exist for model: cifar",
        ),
        ("/somewhere", 404, "ResourceNotFoundException", "not found"),
        ("/invocations", 400, "BadRequestException", "the models are: cifar, probe"),
        ("/predictions/cifar?top k=1", 400, "BadRequestException", "query parameter"),
        ("/predictions/%00", 404, "ModelNotFoundException", "letters, digits"),
    ],
)
def test_who_is_not_there_is_said_in_torchserves_words(
    client: httpx.Client, path: str, status: int, kind: str, words: str
) -> None:
    answer = client.post(path, content=SHIP)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert words in answer.json()["message"]


def test_invocations_and_explanations_are_answered(client: httpx.Client) -> None:
    named = client.post("/invocations?model=cifar&model_version=91.0&top_k=2", content=SHIP)
    assert len(named.json()["probabilities"]) == 2
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": "model=cifar"}
    assert client.post("/invocations", content=SHIP, headers=attributes).status_code == 200
    why = client.post("/explanations/cifar/91.0?method=grad_cam", content=SHIP)
    assert (why.status_code, why.headers["content-type"]) == (200, "image/png")


def test_requests_need_the_key(on_ray: Running) -> None:
    with httpx.Client(base_url=on_ray.inference, trust_env=False) as stranger:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "wrong"}):
            answer = stranger.post("/predictions/cifar", content=SHIP, headers=header)
            assert answer.status_code == 400
            assert answer.json()["type"] == "InvalidKeyException"
        assert stranger.get("/ping").json()["status"] == "Healthy"


def test_what_is_too_large_is_refused_before_it_is_read(client: httpx.Client) -> None:
    declared = client.post("/predictions/cifar", content=b"x" * 1_000_001)
    streamed = client.post("/predictions/cifar", content=iter([b"x" * 600_000] * 2))
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert "max_request_size" in answer.json()["message"]


def test_the_queue_is_bounded(on_ray: Running) -> None:
    """One in the worker's hands, one that it finds after that, and two that wait."""
    answers = at_once(on_ray, "3.0", "sleep 0.5", 7)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {200: 4, 503: 3}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"]
    assert "jobQueueSize" in refused.json()["message"]


def test_a_worker_that_does_not_answer_in_time_is_replaced(
    on_ray: Running, client: httpx.Client
) -> None:
    before = workers(on_ray, "3.0")
    hung, waited = at_once_each(on_ray, "3.0", "hang", "")
    assert (hung.status_code, hung.json()["message"]) == (500, DIED)
    assert waited.status_code == 200  # another worker has begun it
    assert waited.json()["pid"] not in before
    assert "responseTimeout" in (on_ray.project.logs / "model_log.log").read_text()


def test_a_worker_that_leaves_is_replaced(on_ray: Running, client: httpx.Client) -> None:
    left = told(client, "3.0", "exit")
    assert (left.status_code, left.json()["message"]) == (500, DIED)
    assert told(client, "3.0", "").status_code == 200


def test_workers_come_and_go_with_the_queue(on_ray: Running) -> None:
    assert len(workers(on_ray, "2.0")) == 1
    asked: set[int] = set()

    def grown() -> bool:
        answers = at_once(on_ray, "2.0", "sleep 0.2", 8)
        assert {answer.status_code for answer in answers} == {200}
        asked.update(answer.json()["pid"] for answer in answers)
        return len(asked) == 2

    wait_for(grown, "a second worker")
    wait_for(lambda: len(workers(on_ray, "2.0")) == 1, "one worker alone")


def test_a_node_that_dies_takes_only_what_it_has_in_hand(on_ray: Running, nodes: Nodes) -> None:
    described = on_ray.describe("probe", "1.0")["workers"]
    assert len({worker["node"] for worker in described}) == 2
    answers = at_once(on_ray, "1.0", "sleep 0.02", 24)
    assert len({answer.json()["pid"] for answer in answers}) == 2
    node = next(worker["node"] for worker in described if worker["node"] in nodes.others)

    async def load() -> list[tuple[int, int]]:
        async with httpx.AsyncClient(
            base_url=on_ray.inference,
            headers={"Authorization": f"Bearer {on_ray.keys.get('inference')}"},
            timeout=60,
            trust_env=False,
        ) as client:
            killing = asyncio.create_task(asyncio.to_thread(nodes.kill, node))
            found = await asyncio.gather(*(ask_until(client, killing) for _ in range(6)))
            return [one for each in found for one in each]

    statuses = asyncio.run(load())
    failed = [first for first, _ in statuses if first != 200]
    assert set(failed) <= {500, 503}
    assert len(failed) <= 6
    assert {again for _, again in statuses} == {200}

    def elsewhere() -> bool:
        found = {worker["node"] for worker in on_ray.describe("probe", "1.0")["workers"]}
        return len(found) == 2 and node not in found

    wait_for(elsewhere, "two workers on other nodes", 60)
    nodes.add()


async def ask_until(client: httpx.AsyncClient, done: asyncio.Task[None]) -> list[tuple[int, int]]:
    """Ask again and again, until a while after something; return statuses, and of retries."""
    found, end = [], float("inf")
    while time.monotonic() < end:
        first = await client.post("/predictions/probe/1.0", content="sleep 0.05")
        again = first if first.status_code == 200 else await retried(client)
        found.append((first.status_code, again.status_code))
        if done.done() and end == float("inf"):
            end = time.monotonic() + 2
    return found


async def retried(client: httpx.AsyncClient) -> httpx.Response:
    await asyncio.sleep(0.5)
    return await client.post("/predictions/probe/1.0", content="sleep 0.05")


def test_the_log_has_a_line_for_each_request(on_ray: Running, client: httpx.Client) -> None:
    client.post("/predictions/cifar/91.0", content=SHIP)
    log = on_ray.project.logs / "access_log.log"
    wait_for(lambda: '"POST /predictions/cifar/91.0 HTTP/1.1" 200' in log.read_text(), "its line")


def test_a_second_project_is_told_who_has_the_cluster(
    on_ray: Running, cluster: str, tmp_path: Path
) -> None:
    other = make_project(tmp_path / "other")
    write_probe(other.model_store, "1.0", {})
    said = marquee(other, "ray", "serve", "--address", cluster, **server_environment(tmp_path))
    assert said.returncode == 1
    assert f"serves the models of {on_ray.project.root} already" in said.stderr


def test_a_cluster_that_is_not_there_is_said(on_ray: Running, tmp_path: Path) -> None:
    other = make_project(tmp_path / "other")
    write_probe(other.model_store, "1.0", {})
    said = marquee(
        other, "ray", "serve", "--address", "127.0.0.1:1", **server_environment(tmp_path)
    )
    assert said.returncode == 1
    assert "there is no Ray cluster at 127.0.0.1:1" in said.stderr


def test_a_gpu_that_is_not_there_is_said(on_ray: Running, cluster: str, tmp_path: Path) -> None:
    other = make_project(tmp_path / "other")
    write_probe(other.model_store, "1.0", {"ray": {"gpus": 0.5}})
    said = marquee(other, "ray", "serve", "--address", cluster, **server_environment(tmp_path))
    assert said.returncode == 1
    assert "probe 1.0 asks for 0.5 GPUs a worker, and the cluster has none" in said.stderr
