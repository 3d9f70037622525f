"""Several models that come and go: SageMaker's contract for multi-model endpoints, end to end."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.container.hosts import ECHO, Served, sent_side_by_side, serving
from tests.handlers.script.harness import make_folder
from tests.support import ROOT

pytestmark = pytest.mark.server
PICTURE = ROOT / "handlers" / "cifar" / "example.png"


@pytest.fixture(scope="module")
def many(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("many") / "ml"
    (base / "models" / "net" / "model").mkdir(parents=True)
    shutil.copyfile(trained / "cifar-1.0.mar", base / "models" / "net" / "model" / "cifar.mar")
    make_folder(base / "models" / "echo" / "model", ECHO)
    make_folder(
        base / "models" / "broken" / "model", "def model_fn(d):\n    raise OSError('gone')\n"
    )
    hungry = "def model_fn(d):\n    raise MemoryError('no room')\n"
    make_folder(base / "models" / "hungry" / "model", hungry)
    (base / "models" / "empty" / "model").mkdir(parents=True)
    huge = make_folder(base / "models" / "huge" / "model", ECHO)
    with (huge / "weights.bin").open("wb") as file:
        file.truncate(1 << 42)  # a hole: takes no room on the disk
    with serving(base, SAGEMAKER_MULTI_MODEL="true") as running:
        yield running


def load(served: Served, name: str, folder: str | None = None) -> httpx.Response:
    url = served.inside(served.base / "models" / (folder or name) / "model")
    with served.client() as client:
        return client.post("/models", json={"model_name": name, "url": url})


def test_models_are_loaded_invoked_and_unloaded(many: Served) -> None:
    with many.client() as client:
        assert client.get("/models").json() == {"models": []}
        for name in ("net", "echo"):
            answer = load(many, name)
            assert (answer.status_code, answer.json()) == (200, {"status": "Workers scaled"})
        listed = client.get("/models", params={"limit": 1}).json()
        assert [model["modelName"] for model in listed["models"]] == ["echo"]
        token = listed["nextPageToken"]
        rest = client.get("/models", params={"limit": 1, "next_page_token": token}).json()
        assert [model["modelName"] for model in rest["models"]] == ["net"]
        assert "nextPageToken" not in rest
        assert client.get("/models/net").json()[0]["modelUrl"].endswith("/models/net/model")
        answer = client.post("/models/net/invoke", content=PICTURE.read_bytes())
        assert answer.status_code == 200
        assert len(answer.json()["probabilities"]) == 10
        headers = {"Content-Type": "text/x"}
        assert client.post("/models/echo/invoke", content=b"hi", headers=headers).content == b"hi"
        again = load(many, "net")
        assert (again.status_code, again.json()["type"]) == (409, "ConflictStatusException")
        assert again.json()["message"] == "Model net is already registered"
        for name in ("net", "echo"):
            answer = client.delete(f"/models/{name}")
            said = {"status": f'Model "{name}" unregistered'}
            assert (answer.status_code, answer.json()) == (200, said)
            again = client.delete(f"/models/{name}")
            assert (again.status_code, again.json()["type"]) == (404, "ModelNotFoundException")
            assert again.json()["message"] == f"Model not found: {name}"
            assert client.get(f"/models/{name}").status_code == 404
        assert client.post("/models/net/invoke", content=b"x").status_code == 404
        assert client.get("/models").json() == {"models": []}
        assert many.ping() == 200


def test_one_folder_under_two_names_and_again_after_unloading(many: Served) -> None:
    with many.client() as client:
        for name in ("a", "b"):
            assert load(many, name, "echo").status_code == 200
        assert client.delete("/models/a").status_code == 200
        assert client.post("/models/b/invoke", content=b"x").status_code == 200
        assert load(many, "a", "echo").status_code == 200
        assert client.post("/models/a/invoke", content=b"x").status_code == 200
        for name in ("a", "b"):
            assert client.delete(f"/models/{name}").status_code == 200


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("empty", 400, "nothing that can be served"),
        ("absent", 404, "no folder"),
        ("broken", 500, "gone"),
        ("hungry", 507, "no room"),
        ("huge", 507, "unload another model first"),
        ("../etc", 400, "model_name"),
    ],
)
def test_a_model_that_cannot_be_loaded(many: Served, name: str, status: int, message: str) -> None:
    answer = load(many, name)
    assert answer.status_code == status, answer.text
    assert message in answer.json()["message"]
    with many.client() as client:
        assert client.get("/models").json() == {"models": []}
    again = load(many, name)  # nothing stays behind
    assert again.status_code == status, again.text
    assert many.ping() == 200


def test_a_request_that_is_not_the_contracts(many: Served) -> None:
    with many.client() as client:
        for body in (b"", b"{", b"[]", b'{"model_name": "a"}', b'{"model_name": 1, "url": 2}'):
            assert client.post("/models", content=body).status_code == 400
        assert client.post("/models", content=b"x" * 100_000).status_code == 413
        assert client.put("/models").status_code in (405, 501)
        assert client.get("/models", params={"limit": "x"}).status_code == 400


def test_unloading_answers_what_waits(many: Served) -> None:
    assert load(many, "slow", "echo").status_code == 200
    with ThreadPoolExecutor(3) as pool, many.client() as client:
        asked = sent_side_by_side(pool, 3, many, "/models/slow/invoke", b"0.7")
        assert client.delete("/models/slow").status_code == 200
        assert [one.result().status_code for one in asked] == [200] * 3
