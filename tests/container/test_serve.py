"""SageMaker's contract for serving, end to end: as a process, or (MARQUEE_IMAGE) in the image."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.container.hosts import ECHO, IMAGE, Served, sent_side_by_side, serving, starting
from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder
from tests.marquee.archives import odd
from tests.support import ROOT

pytestmark = pytest.mark.server
PICTURE = ROOT / "handlers" / "cifar" / "example.png"
BIG = 100_000_000

FINE = "def model_fn(folder):\n    return 1\n"
BROKEN = "def model_fn(folder):\n    raise OSError('gone')\n"


@pytest.fixture(scope="module")
def served(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The model folder of a training job, with a script's code put beside the archive."""
    base = tmp_path_factory.mktemp("both") / "ml"
    shutil.copytree(trained, base / "model")
    (base / "model" / "code").mkdir()
    (base / "model" / "code" / "inference.py").write_text(ECHO)
    odd.folder(base / "model" / "open", odd.model(modelName="open", modelVersion=None))
    odd.mar(base / "model" / "climb.mar", odd.model(modelName="../climb"))
    (base / "model" / "lost+found").mkdir(mode=0o700)
    with serving(base, SAGEMAKER_TS_BATCH_SIZE="5", SAGEMAKER_TYPO="1") as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as made:
        yield made


def test_ping_tells_of_every_model(client: httpx.Client) -> None:
    for path in ("/ping", "/ping/"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.json()["models"] == {
            "cifar": {"version": "1.0", "ready": True},
            "model": {"version": "1.0", "ready": True},
            "open": {"version": "1.0", "ready": True},
        }


def test_what_cannot_be_served_keeps_nothing_from_the_others(served: Served) -> None:
    assert "climb.mar: MAR-INF/MANIFEST.json cannot be served" in served.printed()
    assert "make archive" not in served.printed()
    with served.client() as client:
        answer = client.post("/predictions/open/1.0", content=b"hello")
    assert (answer.status_code, answer.content) == (200, b"hello")
    assert sorted(path.name for path in served.base.iterdir()) == ["model"]


@pytest.mark.parametrize("path", ["/invocations?model=cifar", "/predictions/cifar"])
def test_what_was_trained_is_served(client: httpx.Client, path: str) -> None:
    answer = client.post(path, content=PICTURE.read_bytes())
    assert answer.status_code == 200
    assert len(answer.json()["probabilities"]) == 10


def test_a_header_names_the_model(client: httpx.Client) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "model=model", "Content-Type": "text/x"}
    answer = client.post("/invocations", content=b"hello", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"hello")


def test_of_several_models_one_must_be_named(client: httpx.Client) -> None:
    answer = client.post("/invocations", content=b"x")
    assert answer.status_code == 400
    assert "cifar,model,open" in answer.json()["message"]
    assert "SAGEMAKER_DEFAULT_MODEL" in answer.json()["message"]


def test_a_hundred_megabytes_there_and_back(client: httpx.Client) -> None:
    body = bytes(range(256)) * (BIG // 256)
    headers = {"Content-Type": "application/octet-stream"}
    answer = client.post("/predictions/model", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.content == body


def test_more_than_that_is_refused(client: httpx.Client) -> None:
    answer = client.post("/predictions/model", content=b"0" * ((100 << 20) + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == 413


def test_the_management_api_is_not_reachable(client: httpx.Client) -> None:
    for path in ("/models", "/models?url=x.mar", "/models/cifar", "/workflows"):
        for method in ("GET", "POST", "DELETE"):
            assert client.request(method, path).status_code >= 400, (method, path)


def test_an_unknown_variable_is_named(served: Served) -> None:
    assert "SAGEMAKER_TYPO is not known here" in served.printed()


def test_sigterm_answers_what_is_in_flight(tmp_path: Path) -> None:
    make_folder(tmp_path / "ml" / "model", ECHO)
    with serving(tmp_path / "ml") as served, ThreadPoolExecutor(3) as pool:
        statuses: list[int] = []

        # One worker: three seconds in all.
        asked = sent_side_by_side(pool, 3, served, "/invocations", b"1.0")
        watching = threading.Thread(target=_watch_ping, args=(served, statuses))
        watching.start()
        sent = time.monotonic()
        served.terminate()
        answers = [one.result() for one in asked]
        answered = time.monotonic()
        assert served.wait() == 0, served.printed()
        stopped = time.monotonic()
        watching.join()
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"1.0")] * 3
    assert answered - sent > 1.0
    assert stopped - answered < 10
    assert 503 in statuses
    assert 200 not in statuses[statuses.index(503) :]


def test_sigterm_while_models_load_ends_it_cleanly(tmp_path: Path) -> None:
    slow = "import time\n\ndef model_fn(folder):\n    time.sleep(60)\n"
    make_folder(tmp_path / "ml" / "model", slow)
    with starting(tmp_path / "ml") as served:
        deadline = time.monotonic() + 120
        while "Model server started" not in served.printed() and time.monotonic() < deadline:
            time.sleep(0.1)
        served.terminate()
        assert served.wait() == 0, served.printed()
        assert served.printed().rstrip().endswith("\nStopped.")
        assert "Ready" not in served.printed()


def _watch_ping(served: Served, statuses: list[int]) -> None:
    while not statuses or statuses[-1] != 0:
        statuses.append(served.ping())
        time.sleep(0.05)


def test_batch_transform_asks_and_sends_files_in_chunks(tmp_path: Path) -> None:
    """A job without a limit (MaxPayloadInMB 0) sends chunks, and gets more than it has sent."""
    doubled = ECHO.replace("return bytes(data),", "return bytes(data) * 2,")
    make_folder(tmp_path / "ml" / "model", doubled)
    job = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "2",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
        "SAGEMAKER_TS_BATCH_SIZE": "5",
    }
    with serving(tmp_path / "ml", **job) as served, served.client() as client:
        told = client.get("/execution-parameters")
        assert (told.status_code, told.headers["content-type"]) == (200, "application/json")
        assert told.json() == {
            "MaxConcurrentTransforms": 5,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": 20,
        }
        parts = [b"%07d," % number for number in range(100_000)]
        headers = {"Content-Type": "application/octet-stream"}
        answer = client.post("/invocations", content=iter(parts), headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.content == b"".join(parts) * 2
        assert "is not known here" not in served.printed()


def test_serverless_has_6_gb_a_read_only_model_and_no_gpu(tmp_path: Path) -> None:
    """As far as a process can be put into it; the image test has the read-only root as well."""
    folder = make_folder(tmp_path / "ml" / "model", ECHO)
    with serving(tmp_path / "ml", NVIDIA_VISIBLE_DEVICES="void") as served:
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        with served.client() as client:
            body = bytes(4 << 20)
            headers = {"Content-Type": "application/octet-stream"}
            answer = client.post("/invocations", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (200, body)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("files", "variables", "message"),
    [
        ({}, {}, "nothing that can be served"),
        ({"code/inference.py": FINE}, {"SAGEMAKER_TS_BATCH_SIZE": "x"}, "BATCH_SIZE is 'x'"),
        ({"a.mar": "no zip"}, {}, "a.mar is no model archive"),
        (
            {"code/inference.py": FINE, "code/requirements.txt": "no-such-package-at-all\n"},
            {},
            "SAGEMAKER_REQUIREMENTS=requirements.txt",
        ),
        ({"code/inference.py": FINE}, {"SAGEMAKER_DEFAULT_MODEL": "other"}, "the models in"),
        (
            {"code/inference.py": BROKEN},
            {},
            "model 1.0 does not load: OSError: gone; the whole story is in what is printed before",
        ),
    ],
)
def test_what_cannot_be_served_ends_it_with_a_sentence(
    tmp_path: Path, files: dict[str, str], variables: dict[str, str], message: str
) -> None:
    (tmp_path / "ml" / "model").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "ml" / "model" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "ml" / "model" / name).write_text(text)
    with starting(tmp_path / "ml", **variables) as served:
        assert served.wait() == 1
        assert message in served.printed()
        assert served.printed().strip().splitlines()[-1].startswith("Error: ")


# ---- the scripts of the projects that this one grew from


@pytest.mark.parametrize("kind", ["painter", "classifier", "forgetful"])
@pytest.mark.skipif(not IMAGE, reason="their answers are tested without an image elsewhere")
def test_scripts_run_in_the_image(tmp_path: Path, kind: str) -> None:
    import io  # noqa: PLC0415

    import torch  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    weights, picture = io.BytesIO(), io.BytesIO()
    torch.save(torch.nn.Conv2d(3, 3, 1).state_dict(), weights)
    Image.new("RGB", (30, 20), (200, 100, 50)).save(picture, "PNG")
    script, body, content_type = {
        "painter": (scripts.PAINTER, picture.getvalue(), "image/*"),
        "classifier": (scripts.CLASSIFIER, bytes(3072), "application/x-npy"),
        "forgetful": (scripts.FORGETFUL, b"12345", "image/jpeg"),
    }[kind]
    make_folder(tmp_path / "ml" / "model", script, latest_net_G__pth=weights.getvalue())
    with serving(tmp_path / "ml") as served, served.client() as client:
        headers = {"Content-Type": content_type}
        answer = client.post("/invocations", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    if kind == "forgetful":
        assert answer.text == "5"
    elif kind == "classifier":
        assert answer.text in ("plane", "car", "bird", "cat")
    else:
        assert (len(answer.json()), len(answer.json()[0])) == (10, 12)
