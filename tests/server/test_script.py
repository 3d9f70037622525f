"""SageMaker scripts through the real server: archives made by the command, served unchanged."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder
from tests.support import Running, make_project, marquee, serving

pytestmark = pytest.mark.server
DOUBLES = """
import torch

class Doubles(torch.nn.Module):
    def forward(self, x):
        return x * 2

def model_fn(model_dir):
    return Doubles()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    top = tmp_path_factory.mktemp("scripts")
    project = make_project(top / "project", "script")
    weights = io.BytesIO()
    torch.manual_seed(0)
    torch.save(torch.nn.Conv2d(3, 3, 1).state_dict(), weights)
    folders = {
        "painter": make_folder(
            top / "painter", scripts.PAINTER, latest_net_G__pth=weights.getvalue()
        ),
        "crasher": make_folder(top / "crasher", scripts.CRASHER),
        "talker": make_folder(top / "talker", scripts.TALKER),
        "doubles": make_folder(top / "doubles", DOUBLES),
    }
    for name, folder in folders.items():
        done = marquee(project, "archive", "script", str(folder), "--name", name)
        assert done.returncode == 0, done.stderr
    with serving(project) as server:
        yield server


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with running.client() as made:
        yield made


def test_a_picture_in_and_a_list_out(client: httpx.Client) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 100, 50)).save(stream, "PNG")
    answer = client.post(
        "/predictions/painter", content=stream.getvalue(), headers={"Content-Type": "image/*"}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert np.array(answer.json()).shape == (10, 12, 3)


def test_a_crash_is_a_500_and_the_worker_lives(running: Running, client: httpx.Client) -> None:
    before = running.worker_pids("crasher", "1.0")
    for word in ("raise", "exit", "object"):
        answer = client.post("/predictions/crasher", content=word)
        assert answer.status_code == 500
        assert "Traceback" not in answer.text
        assert "secret" not in answer.text
    assert client.post("/predictions/crasher", content="fine").text == "fine"
    assert running.worker_pids("crasher", "1.0") == before
    log = (running.project.logs / "model_log.log").read_text()
    assert "secret: /srv/keys" in log
    assert "inference.py" in log


def test_what_a_script_prints_does_not_reach_torchserve(
    running: Running, client: httpx.Client
) -> None:
    pids = running.worker_pids("talker", "1.0")
    assert client.post("/predictions/talker", content="x").text == "quiet"
    assert 1 not in [*pids, *running.worker_pids("talker", "1.0")]
    log = (running.project.logs / "model_log.log").read_text()
    assert "script printed: [METRICS]Evil" in log
    assert "script printed: [METRICS]Wicked" in log
    assert "| [PID]1" in log
    assert "Evil" not in running.metrics()
    assert "Wicked" not in running.metrics()
    # What the server measures itself arrives, whatever the script does to logging.
    assert 'marquee_stage_seconds_count{ModelName="talker"' in running.metrics()


def test_requests_together_each_with_its_own_type(client: httpx.Client) -> None:
    accepts = ["application/json", "text/csv", "application/x-npy", "image/png"] * 2

    def ask(index: int) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Accept": accepts[index]}
        return client.post("/predictions/doubles", content=f"[[{index}, 1]]", headers=headers)

    ask(0)
    for _ in range(2):  # the first time is checked by a second call
        with ThreadPoolExecutor(8) as pool:
            answers = [*pool.map(ask, range(8))]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 406] * 2
    assert [a.headers["content-type"] for a in answers[:3]] == accepts[:3]
    assert json.loads(answers[4].text) == [[8, 2]]
    assert answers[5].text == "10.0,2.0\n"
    assert np.load(io.BytesIO(answers[6].content)).tolist() == [[12, 2]]


def test_bad_bodies_are_4xx(running: Running, client: httpx.Client) -> None:
    before = running.worker_pids("doubles", "1.0")
    for body, kind, status in (
        (b"[1,", "application/json", 400),
        (b"no zip", "application/x-npz", 400),
        (b"\x93NUMPY", "application/x-npy", 400),
        (b"x", "text/html", 415),
        (b"a=1", "application/x-www-form-urlencoded", 415),
    ):
        answer = client.post("/predictions/doubles", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, (kind, answer.text)
        assert answer.json()["message"]
    assert running.worker_pids("doubles", "1.0") == before


def test_archives_lie_in_the_store(running: Running) -> None:
    stored: list[Path] = sorted(running.project.model_store.glob("*.mar"))
    assert [path.name for path in stored] == [
        f"{name}-1.0.mar" for name in ("crasher", "doubles", "painter", "talker")
    ]
