"""A canary's share, and its end: by promotion, by hand, and by itself."""

from __future__ import annotations

import collections
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from bench.broken import variant
from marquee.versions import canaries
from tests.front.support import load, pixel, wait_for
from tests.support import BIN, Running, clean_environment, marquee

FAULTY = "/predictions/faulty"
# Other work on the machine must not make the tests wait for long.
# How fast the two are is no matter here, and differs by more where cores are shared.
PROMOTE = ("--promote", "--watch", "1s", "--max-slowdown", "100")


def canary(door: Running, *words: str) -> str:
    said = marquee(door.project, "canary", "faulty", *words, **door.environment)
    assert said.returncode == 0, said.stderr
    return said.stdout


def history(door: Running) -> list[dict[str, Any]]:
    path = door.project.root / ".marquee" / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _no_canary(door: Running) -> Iterator[None]:
    """Begin and end without a canary, and with 1.0 as the default."""
    yield
    if canaries.load(door.project):
        canary(door, "--withdraw")
    with door.management() as management:
        management.put("/models/faulty/1.0/set-default")


def counted(door: Running, number: int, headers: dict[str, str] | None = None) -> dict[int, int]:
    """Return how often each version answered: 40 is what 1.0 says to this picture, 4 is 2.0."""
    with door.client() as client, ThreadPoolExecutor(8) as pool:

        def ask(_: int) -> int:
            return int(client.post(FAULTY, content=pixel(40), headers=headers).json()["fault"])

        return dict(collections.Counter(pool.map(ask, range(number))))


def test_the_share_is_kept_within_a_percent(door: Running) -> None:
    canary(door, "2.0", "--share", "5%")
    answers = counted(door, 2000)
    assert sum(answers.values()) == 2000
    assert 80 <= answers[4] <= 120
    report = json.loads(canary(door, "--json"))
    assert report["canary"]["share"] == 0.05

    def told() -> bool:
        return bool(json.loads(canary(door, "--json"))["of_canary"]["requests"] >= answers[4] - 10)

    wait_for(told, "the figures")
    figures = json.loads(canary(door, "--json"))["of_canary"]
    assert figures["errors"] == 0
    assert 0 < figures["p50"] <= figures["p95"]
    assert "2.0" in canary(door)


def test_a_named_version_is_not_split(door: Running, front: httpx.Client) -> None:
    canary(door, "2.0", "--share", "100%")
    assert front.post(FAULTY, content=pixel(40)).json()["fault"] == 4
    assert front.post(f"{FAULTY}/1.0", content=pixel(40)).json()["fault"] == 40
    assert front.post("/invocations?model=faulty", content=pixel(40)).json()["fault"] == 4


def test_a_canary_outlives_a_reload_and_ends_by_hand(door: Running) -> None:
    canary(door, "2.0", "--share", "50%")
    said = marquee(door.project, "front", "reload", **door.environment)
    assert said.returncode == 0, said.stderr
    answers = counted(door, 40)
    assert 15 <= answers[4] <= 25
    assert "stays registered" in canary(door, "--withdraw")
    assert counted(door, 20) == {40: 20}


def test_a_promoted_canary_is_the_default(door: Running) -> None:
    canary(door, "2.0", "--share", "10%")
    with load(door, FAULTY, pixel(40)) as clients:
        canary(door, *PROMOTE)
    assert set(clients.statuses) == {200}
    assert not clients.failures
    assert counted(door, 20) == {4: 20}
    last = history(door)[-1]
    assert (last["action"], last["outcome"]) == ("canary promote", "done")
    assert [step["step"] for step in last["steps"]][:4] == ["load", "check", "compare", "switch"]


def test_a_promotion_that_is_killed_is_taken_back(door: Running) -> None:
    canary(door, "2.0", "--share", "10%")
    command = [str(BIN / "marquee"), "canary", "faulty", *PROMOTE, "--watch", "60s"]
    process = subprocess.Popen(
        command,
        cwd=door.project.root,
        env=clean_environment(**door.environment, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(line.startswith("switch") for line in process.stdout)
    assert counted(door, 20) == {4: 20}
    process.kill()
    process.communicate(timeout=30)
    journal = door.project.state / "swap-faulty.json"
    wait_for(lambda: not journal.exists(), "the guard's work")
    assert counted(door, 20) == {40: 20}
    assert not canaries.load(door.project)
    assert history(door)[-1]["outcome"] == "killed"


def test_a_canary_that_fails_is_withdrawn_by_itself(door: Running) -> None:
    canary(door, "2.0", "--share", "20%", "--min-requests", "10")
    with load(door, FAULTY, pixel(20)) as clients:  # 1.0 is fine with it, 2.0 raises
        wait_for(lambda: not canaries.load(door.project), "the withdrawal")
    assert 500 in clients.statuses
    last = history(door)[-1]
    assert last["outcome"] == "withdrawn"
    assert "error rate" in last["reason"]
    assert counted(door, 20) == {40: 20}


def test_a_canary_that_is_slow_is_withdrawn_by_itself(door: Running) -> None:
    canary(door, "2.0", "--share", "50%", "--min-requests", "2")
    with load(door, FAULTY, pixel(110), clients=8):  # 2.0 takes a second
        wait_for(lambda: not canaries.load(door.project), "the withdrawal")
    assert "p95" in history(door)[-1]["reason"]


def test_swap_and_retire_ask_to_end_the_canary_first(door: Running) -> None:
    canary(door, "2.0", "--share", "10%")
    for words in (("swap", "faulty", "2.0"), ("rollback", "faulty"), ("retire", "faulty", "2.0")):
        said = marquee(door.project, *words, **door.environment)
        assert said.returncode == 1
        assert "faulty 2.0 is tried on 10.00% of the requests; end that first" in said.stderr
    assert counted(door, 40)[4] < 20


def test_a_promotion_is_taken_back_by_a_rollback(door: Running) -> None:
    canary(door, "2.0", "--share", "10%")
    canary(door, *PROMOTE)
    words = ("rollback", "faulty", "--watch", "1s", "--keep")  # other tests ask 2.0 by its number
    said = marquee(door.project, *words, **door.environment)
    assert said.returncode == 0, said.stderr
    assert counted(door, 20) == {40: 20}
    with door.client() as client:
        assert client.post(f"{FAULTY}/2.0", content=pixel(40)).json()["fault"] == 4


def with_wrong_weights(source: Path, target: Path, version: str) -> None:
    """Write an archive that answers each request with 200, and wrongly."""
    with zipfile.ZipFile(variant(source, target, version)) as made:
        entries = {name: made.read(name) for name in made.namelist()}
    state = torch.load(io.BytesIO(entries["vgg11.pth"]), weights_only=True)
    sink = io.BytesIO()
    torch.save({name: -one if one.dim() == 2 else one for name, one in state.items()}, sink)
    with zipfile.ZipFile(target, "w") as made:
        for name, content in (entries | {"vgg11.pth": sink.getvalue()}).items():
            made.writestr(name, content)


def test_a_version_with_wrong_weights_is_no_canary(door: Running) -> None:
    """Its example is answered with 200 all the same."""
    store = door.project.model_store
    wrong = store / "cifar-9.0.mar"
    with_wrong_weights(store / "cifar-2.0.mar", wrong, "9.0")
    try:
        words = ("canary", "cifar", "9.0", "--share", "5%")
        said = marquee(door.project, *words, **door.environment)
        with door.client() as client:
            example = (door.project.handlers / "cifar" / "example.png").read_bytes()
            default = client.post("/predictions/cifar", content=example).json()
    finally:
        wrong.unlink()
    assert said.returncode == 1
    assert "example.png" in said.stderr
    assert "cifar 9.0 gets no requests" in said.stderr
    assert default
    assert not canaries.load(door.project)
    with door.management() as management:
        assert management.get("/models/cifar/9.0").status_code == 404


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("1.0", "--share", "5%"), "is the default version of faulty already"),
        (("7.0", "--share", "5%"), "has no archive of faulty '7.0'"),
        (("2.0", "--share", "0%"), "expected above 0 %"),
        (("2.0", "--share", "many"), "expected one such as 5%"),
        (("2.0",), "say VERSION and --share"),
        (("--promote",), "has no canary"),
    ],
)
def test_what_cannot_be_is_told(door: Running, words: tuple[str, ...], said: str) -> None:
    done = marquee(door.project, "canary", "faulty", *words, **door.environment)
    assert done.returncode != 0
    assert said in done.stderr


def test_without_a_front_door_it_is_told(
    tmp_path_factory: pytest.TempPathFactory, door: Running
) -> None:
    said = marquee(door.project, "canary", "faulty", TEMP=str(tmp_path_factory.mktemp("empty")))
    assert said.returncode == 1
    assert "marquee serve --front" in said.stderr
