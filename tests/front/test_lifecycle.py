"""The door is reloaded, dies and is started again; it drains when the server stops."""

import shutil
import signal
import threading
from pathlib import Path

import httpx
import psutil
import pytest

from marquee import processes
from marquee.front.process import Haproxy
from marquee.front.runtime import in_flight
from marquee.project import Project
from tests.front.conftest import FRONT
from tests.front.support import load, pixel, wait_for
from tests.support import Running, marquee, serving

FAULTY = "/predictions/faulty"


def haproxy(running: Running) -> Haproxy:
    return Haproxy(Path(running.environment["TEMP"]) / "front")


def test_a_reload_under_load_drops_nothing(door: Running) -> None:
    before = haproxy(door).process()
    with load(door, FAULTY, pixel(40)) as clients:
        for _ in range(3):
            said = marquee(door.project, "front", "reload", **door.environment)
            assert said.returncode == 0, said.stderr
    assert len(clients.statuses) > 50
    assert set(clients.statuses) == {200}
    assert not clients.failures
    assert haproxy(door).process() == before


def test_settings_that_cannot_be_leave_the_door_as_it_is(
    door: Running, front: httpx.Client
) -> None:
    path = door.project.root / "config" / "front.yaml"
    good = path.read_text()
    try:
        path.write_text(good + "\nrequest_timeout: soon\n")
        said = marquee(door.project, "front", "reload", **door.environment)
        assert said.returncode == 1
        assert "request_timeout is 'soon'" in said.stderr
    finally:
        path.write_text(good)
    assert front.post(FAULTY, content=pixel(40)).status_code == 200


def test_a_reload_reads_a_new_api_key(door: Running, tmp_path: Path) -> None:
    path = door.project.root / "config" / "front.yaml"
    good = path.read_text()
    key = tmp_path / "key"
    key.write_text("a-key-that-stays-the-same\n")
    key.chmod(0o600)

    def status() -> int:
        # A connection that was open before a reload has one more request answered as before.
        headers = {"Authorization": "Bearer a-key-that-stays-the-same"}
        with httpx.Client(base_url=door.inference, headers=headers, trust_env=False) as client:
            return client.post(FAULTY, content=pixel(40)).status_code

    assert status() == 400
    try:
        path.write_text(f"{good}\napi_key_file: {key}\n")
        assert marquee(door.project, "front", "reload", **door.environment).returncode == 0
        assert status() == 200
    finally:
        path.write_text(good)
        marquee(door.project, "front", "reload", **door.environment)
    assert status() == 400


def test_a_door_that_dies_is_started_again(door: Running, front: httpx.Client) -> None:
    old = haproxy(door).process()
    assert old is not None
    old.send_signal(signal.SIGKILL)

    def answers() -> bool:
        try:
            return front.post(FAULTY, content=pixel(40)).status_code == 200
        except httpx.HTTPError:
            return False

    wait_for(lambda: haproxy(door).process() not in (None, old) and answers(), "the restart")
    wait_for(lambda: front.get("/ping").status_code == 200, "readiness")


def family(running: Running) -> list[psutil.Process]:
    """Return HAProxy, Java and the workers: all that a stop must end."""
    java = psutil.Process(
        int((Path(running.environment["TEMP"]) / ".model_server.pid").read_text())
    )
    found = [java, *psutil.Process(running.process.pid).children(recursive=True)]
    return [*found, *java.children(recursive=True)]


@pytest.mark.server
def test_stop_from_elsewhere_says_so(small_project: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "copy")
    shutil.copytree(
        small_project.root, project.root, ignore=shutil.ignore_patterns("logs", "key_file*")
    )
    with serving(project, *FRONT) as running:
        everything = family(running)
        said = marquee(project, "stop", **running.environment)
        assert (said.returncode, said.stdout) == (0, "stopped\n")
        assert running.process.wait(timeout=60) == 0
        assert not processes.wait_ended(everything, 10)


@pytest.mark.server
def test_stop_answers_what_is_in_flight_and_leaves_nothing(
    front_project: Project, tmp_path: Path
) -> None:
    # Another server of the same project would take the keys of the one of the session; and what
    # earlier tests promoted is none of its business.
    ignored = shutil.ignore_patterns("logs", "key_file*", ".marquee")
    project = Project(tmp_path / "copy")
    shutil.copytree(front_project.root, project.root, ignore=ignored)
    answers: list[int] = []
    with serving(project, *FRONT) as running:
        everything = family(running)

        # The faulty model sleeps for a second a batch; these are several batches' worth.
        together = threading.Barrier(12)

        def ask() -> None:
            with running.client() as client:
                together.wait()
                answers.append(client.post(FAULTY, content=pixel(11)).status_code)

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_for(lambda: in_flight(haproxy(running).master) == 12, "all to be in flight", 10)
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "requests in flight" in running.output.read_text(), "the drain", 5)
        with httpx.Client(base_url=running.inference, trust_env=False) as late:
            assert late.get("/ping").json()["status"] == "Draining"
            assert late.post(FAULTY, content=pixel(0)).status_code == 503
        for thread in threads:
            thread.join()
        assert answers == [200] * 12
        assert running.process.wait(timeout=60) == 0
        assert not processes.wait_ended(everything, 10)
        assert not (Path(running.environment["TEMP"]) / "front").exists()
        assert not project.key_file.exists()
        said = running.output.read_text()
        assert "Stopped." in said
