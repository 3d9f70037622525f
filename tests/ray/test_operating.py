"""The operator's commands on Ray, as they are called; those for TorchServe, and the same words."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from bench.broken import AT_REQUEST, WAYS, variant
from bench.load import Load
from bench.swap import PICTURES, new_load, under_load
from bench.swap_table import retired_answers
from marquee.front import rayserver
from marquee.project import Project
from marquee.torchserve import loaded
from marquee.torchserve.inference import OWN_MARK
from marquee.versions import canaries
from tests.front.support import wait_for
from tests.support import BIN, Running, make_project, marquee, serving, started

pytestmark = pytest.mark.server
# What other archives are made from, whichever version is the default meanwhile.
SOUND = "2.0"
BESIDE = {"clients": 1, "rate": 40}
# Other work on the machine must not make a sound version seem slow.
QUICK = ("--watch", "1s", "--max-slowdown", "100", "--json")
HOLDS = """\
if os.path.exists({marker!r}):
                os.rename({marker!r}, {held!r})
                while os.path.exists({held!r}):
                    time.sleep(0.05)"""

FAILS = """\
    def postprocess(self, *given):
        assert not os.path.exists({marker!r}), "told to"
        return super().postprocess(*given)
"""


@pytest.fixture(scope="module")
def operated(
    cluster: str, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server on the cluster with cifar's two versions."""
    made = make_project(tmp_path_factory.mktemp("operated") / "project", "cifar")
    for version in ("1.0", "2.0"):
        shutil.copy2(project.model_store / f"cifar-{version}.mar", made.model_store)
    with serving(made, BIN / "marquee", "ray", "serve", "--address", cluster) as running:
        yield running


@pytest.fixture(scope="module")
def clients(operated: Running) -> Load:
    """Clients that know the right answers; made before any version is retired."""
    return new_load(operated)


def run(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    return marquee(running.project, *words, **running.environment)


def done(running: Running, *words: str) -> str:
    said = run(running, *words)
    assert said.returncode == 0, said.stderr
    return said.stdout


def archive(running: Running) -> Path:
    return running.project.model_store / f"cifar-{SOUND}.mar"


def default(running: Running) -> str:
    with running.management() as client:
        return str(client.get("/models/cifar").json()[0]["modelVersion"])


def other(version: str) -> str:
    return "1.0" if version == "2.0" else "2.0"


def test_models_status_and_logs_tell_of_a_server_on_ray(operated: Running) -> None:
    with operated.client() as client:
        answer = client.post("/predictions/cifar", content=PICTURES[0].read_bytes())
    (row,) = [one for one in json.loads(done(operated, "models", "--json")) if one["default"]]
    assert (row["state"], row["ready"], row["wanted"], row["devices"]) == ("ready", 1, 1, ["cpu"])
    (pid,) = operated.worker_pids("cifar", row["version"])
    assert row["memory"] == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.2)
    status = done(operated, "status")
    assert "Ray  " in status
    assert "Java" not in status
    assert "gRPC" not in status
    assert "all 1 are ready" in status
    assert done(operated, "status", "--ready") == "ready\n"
    assert answer.status_code == 200
    wait_for(lambda: '"POST /predictions/cifar' in done(operated, "logs", "cifar"), "its line")
    assert "Traceback" not in done(operated, "logs")


def test_a_swap_and_its_rollback_lose_no_request(
    operated: Running, clients: Load, tmp_path: Path
) -> None:
    """Ray drains a worker that is to end: here it has a request in hand meanwhile."""
    before = default(operated)
    marker, held = tmp_path / "marker", tmp_path / "held"
    code = AT_REQUEST.format(does=HOLDS.format(marker=str(marker), held=str(held)))
    path = variant(archive(operated), tmp_path / "new.mar", "3.0", code)
    load = clients.fresh(**{"cifar/3.0": clients.expected[f"cifar/{SOUND}"]})

    def back() -> list[dict[str, Any]]:
        forth = json.loads(done(operated, "swap", "cifar", str(path), *QUICK))
        with started(operated, "rollback", "cifar", *QUICK, "--watch", "3s") as process:
            assert process.stderr is not None
            assert any(line.startswith("switch") for line in process.stderr)
            marker.touch()
            with ThreadPoolExecutor(1) as pool, operated.client() as client:
                own = f"/predictions/cifar/3.0?{OWN_MARK}"
                held_up = pool.submit(client.post, own, content=PICTURES[0].read_bytes())
                wait_for(held.exists, "a request in hand")
                wait_for(lambda: not operated.describe("cifar", "3.0")["minWorkers"], "its end")
                time.sleep(1)  # it is told to end, and does not
                assert operated.worker_pids("cifar", "3.0")
                held.unlink()
                assert held_up.result().status_code == 200
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
        assert "3.0 is drained and has no workers" in err
        return [forth, json.loads(out)]

    async def both() -> list[dict[str, Any]]:
        async with under_load(load, **BESIDE):
            return await asyncio.to_thread(back)

    records = asyncio.run(both())
    assert len(load.samples) > 100
    assert not [sample for sample in load.samples if sample.status != 200 or sample.wrong]
    switches = [
        (step["at"], step["at"] + step["seconds"], record["to"])
        for record in records
        for step in record["steps"]
        if step["step"] == "switch"
    ]
    assert [version for _, _, version in switches] == ["3.0", before]
    assert retired_answers(load.samples, switches) == 0
    assert not operated.describe("cifar", "3.0")["workers"]
    assert loaded.defaults(operated.project)["cifar"] == default(operated) == before


@pytest.mark.parametrize("way", ["raises at load", "killed at load"])
def test_a_version_that_does_not_load_is_refused_with_its_reason(
    operated: Running, tmp_path: Path, way: str
) -> None:
    before, store = default(operated), operated.project.model_store
    code, reason = WAYS[way]
    path = variant(archive(operated), tmp_path / "new.mar", "7.0", code)
    names = sorted(store.iterdir())
    said = run(operated, "swap", "cifar", str(path), *QUICK)
    assert said.returncode == 1
    assert "cifar 7.0 does not load: " in said.stderr
    assert reason in said.stderr
    assert f"cifar {before} serves as before" in said.stderr
    assert default(operated) == before
    assert sorted(store.iterdir()) == names
    with operated.client() as client:
        picture = PICTURES[0].read_bytes()
        assert client.post("/predictions/cifar", content=picture).status_code == 200


def test_a_canary_has_its_share_and_is_withdrawn_when_it_does_worse(
    operated: Running, clients: Load, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    target = operated.project.model_store / "cifar-4.0.mar"
    variant(archive(operated), target, "4.0", FAILS.format(marker=str(marker)))
    words = ("canary", "cifar", "4.0", "--share", "20%", "--min-requests", "10")
    assert "cifar 4.0 gets 20.00% of the requests" in done(operated, *words)
    load = clients.fresh(**{"cifar/4.0": clients.expected[f"cifar/{SOUND}"]})

    async def asked() -> None:
        async with under_load(load, **BESIDE):
            while len(load.samples) < 200:
                await asyncio.sleep(0.05)
            sound = [sample.version for sample in load.samples]
            assert 0.15 < sound.count("cifar/4.0") / len(sound) < 0.25
            assert {sample.status for sample in load.samples} == {200}
            marker.touch()
            await asyncio.to_thread(
                wait_for, lambda: not canaries.load(operated.project), "the withdrawal"
            )

    asyncio.run(asked())
    with operated.client() as client:
        own = f"/predictions/cifar/4.0?{OWN_MARK}"
        failed = client.post(own, content=PICTURES[0].read_bytes())
    assert failed.status_code == 500
    identity = failed.headers["x-request-id"]
    story = partial(done, operated, "logs", "--request", identity)
    wait_for(lambda: "AssertionError: told to" in story(), "the story of a failure")
    assert f"request {identity} failed" in story()
    last = json.loads(done(operated, "history", "cifar", "--json"))[-1]
    assert (last["outcome"], last["to"]) == ("withdrawn", "4.0")
    assert "error rate" in last["reason"]
    done(operated, "retire", "cifar", "4.0")


def test_workers_are_added_and_taken_away(operated: Running) -> None:
    version = default(operated)
    done(operated, "scale", "cifar", "--workers", "2")
    assert len(operated.worker_pids("cifar", version)) == 2
    done(operated, "scale", "cifar", "--workers", "1")
    wait_for(lambda: len(operated.worker_pids("cifar", version)) == 1, "the end of one")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("swap", "cifar", "9.0"), "known are: 1.0, 2.0"),
        (("swap", "nothing", "1.0"), "marquee register"),
        (("retire", "cifar", "9.0"), "the server has no cifar '9.0'; it has: "),
        (("canary", "cifar", "9.0", "--share", "5%"), "has no archive of cifar '9.0'"),
        (("ray", "serve"), "a Ray server of this project is already running"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    operated: Running, words: tuple[str, ...], reason: str
) -> None:
    said = run(operated, *words)
    assert said.returncode == 1
    assert reason in said.stderr
    assert "Traceback" not in said.stderr


def test_the_management_address_wants_its_key_and_says_what_it_lacks(operated: Running) -> None:
    address = operated.environment["TS_MANAGEMENT_ADDRESS"]
    for key in ("", "Bearer wrong", f"Bearer {operated.keys.get('inference')}"):
        said = httpx.get(f"{address}/models", headers={"Authorization": key}, trust_env=False)
        assert (said.status_code, said.json()["type"]) == (400, "InvalidKeyException")
    with operated.management() as client:
        for method, path, status, words in (
            ("GET", "/models/cifar/9.0", 404, "9.0 does not exist"),
            ("POST", "/models?url=/etc/passwd", 404, "is no file of"),
            ("POST", f"/models?url=cifar-{default(operated)}.mar", 409, "already registered"),
            ("POST", "/models?url=a.mar&batch_size=8", 400, "'batch_size' has no meaning here"),
            ("PUT", "/models/cifar?min_worker=many", 400, "expected a whole number"),
            ("PUT", "/models/cifar?min_worker=2&max_worker=1", 400, "max_worker is 1"),
            ("DELETE", f"/models/cifar/{default(operated)}", 403, "is the default"),
            ("GET", "/nothing", 404, "Not Found"),
        ):
            said = client.request(method, path)
            assert said.status_code == status, path
            assert words in said.json()["message"]


def test_what_was_killed_finds_its_applications_again_and_stop_ends_all(
    operated: Running, cluster: str
) -> None:
    """Last of all: the server of the other tests ends here."""
    version = default(operated)
    done(operated, "retire", "cifar", other(version))
    pids = operated.worker_pids("cifar", version)
    server = rayserver.running(Project(operated.project.root, operated.environment))
    assert server is not None
    server.process.send_signal(signal.SIGKILL)
    with operated.client() as client:
        picture = PICTURES[0].read_bytes()
        assert client.post("/predictions/cifar", content=picture).status_code == 200
        operated.process.wait(timeout=10)
    with started(operated, "ray", "serve", "--address", cluster) as again:
        assert again.stdout is not None
        assert any("Ctrl-C stops everything" in line for line in again.stdout)
        assert default(operated) == version
        assert operated.worker_pids("cifar", version) == pids
        assert not operated.worker_pids("cifar", other(version))
        with operated.client() as client:
            assert client.post("/predictions/cifar", content=picture).status_code == 200
        assert done(operated, "stop").endswith("stopped\n")
        again.communicate(timeout=10)
        assert again.returncode == 0
    assert not operated.project.key_file.exists()
    assert done(operated, "stop") == "no server of this project is running\n"
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the workers' end")
