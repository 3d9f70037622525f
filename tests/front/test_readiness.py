"""`/ping` tells the truth: every model answers its own example, now."""

import signal
from typing import Any

import httpx
import psutil

from marquee.front.refusals import REFUSALS
from marquee.torchserve.inference import OWN_MARK
from marquee.torchserve.loglines import access
from tests.front.support import pixel, wait_for
from tests.server.faulty.model import FAULTS
from tests.support import Running, marquee


def ping(stranger: httpx.Client, path: str = "/ping") -> tuple[int, dict[str, Any]]:
    answer = stranger.get(path)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


def worker(door: Running, model: str) -> psutil.Process:
    version = "2.0" if model == "cifar" else "1.0"
    return psutil.Process(door.worker_pids(model, version)[0])


def test_a_ready_server_says_so_without_a_token(stranger: httpx.Client) -> None:
    models = {
        "cifar": {"version": "2.0", "ready": True},
        "faulty": {"version": "1.0", "ready": True},
    }
    for path in ("/ping", "/ping/"):
        assert ping(stranger, path) == (200, {"status": "Healthy", "models": models})
    assert ping(stranger, "/live") == (200, {"status": "Alive"})


def test_a_killed_worker_makes_it_unready_until_the_next_one_answers(
    door: Running, stranger: httpx.Client
) -> None:
    worker(door, "cifar").send_signal(signal.SIGKILL)
    wait_for(lambda: ping(stranger)[0] == 503, "unready")
    status, said = ping(stranger)
    assert status == 503
    assert not said["models"]["cifar"]["ready"]
    assert said["models"]["faulty"]["ready"]
    assert ping(stranger, "/live")[0] == 200
    wait_for(lambda: ping(stranger)[0] == 200, "ready again")


def test_a_request_whose_worker_ends_is_told_why(
    front: httpx.Client, stranger: httpx.Client
) -> None:
    answer = front.post("/predictions/faulty", content=pixel(FAULTS["worker killed"]))
    said = answer.json()
    assert (answer.status_code, said["code"]) == (500, 500)
    assert said["message"] == REFUSALS["worker_ended"].message
    wait_for(lambda: ping(stranger)[0] == 503, "unready")
    wait_for(lambda: ping(stranger)[0] == 200, "ready again")


def test_a_worker_that_hangs_makes_it_unready(door: Running, stranger: httpx.Client) -> None:
    hanging = worker(door, "cifar")
    hanging.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: ping(stranger)[0] == 503, "unready")
        assert "has not answered its own example for" in ping(stranger)[1]["models"]["cifar"]["why"]
        said = marquee(door.project, "status", "--ready", **door.environment)
        assert said.returncode == 1
        assert "has not answered its own example" in said.stdout
    finally:
        hanging.send_signal(signal.SIGCONT)
    wait_for(lambda: ping(stranger)[0] == 200, "ready again")
    assert marquee(door.project, "status", "--ready", **door.environment).returncode == 0


def test_ping_is_not_ready_for_ever_when_nobody_asks_any_more(
    door: Running, stranger: httpx.Client
) -> None:
    door.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: ping(stranger)[0] == 503, "unready", 25)
        assert "nobody asks" in ping(stranger)[1]["message"]
    finally:
        door.process.send_signal(signal.SIGCONT)
    wait_for(lambda: ping(stranger)[0] == 200, "ready again")


def test_the_probes_are_not_taken_for_clients_that_name_a_version(door: Running) -> None:
    log = door.project.logs / "access_log.log"
    wait_for(lambda: f"/predictions/cifar/2.0?{OWN_MARK} " in log.read_text(), "a probe")
    probe = access(next(one for one in log.read_text().splitlines() if OWN_MARK in one))
    assert probe is not None
    assert probe.query == OWN_MARK  # by which it is left out of clients
