"""A version keeps its workers until it is proven that they hold nothing any more."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.inference import OWN_MARK
from marquee.torchserve.management import Management, Version
from marquee.versions import answered, drain
from marquee.versions import operate as versions
from marquee.versions.answered import Manner
from marquee.versions.traffic import AccessLog
from tests.marquee.versions.fake import FakeServer, serving
from tests.support import make_project

ORDERLY = Manner(in_turn=True, at_once=True)
IDLE, BUSY = 101, 102


@pytest.fixture
def fake() -> FakeServer:
    """One worker is idle, the other one holds a request."""
    made = FakeServer()
    made.start(IDLE)
    made.start(BUSY, busy=True)
    return made


@pytest.fixture
def project(tmp_path: Path, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("TS_DISABLE_TOKEN_AUTHORIZATION", "true")
    monkeypatch.setenv("TEMP", str(tmp_path / "t"))
    made = make_project(tmp_path / "project")
    made.logs.mkdir()
    with serving(fake) as address:
        monkeypatch.setenv("TS_INFERENCE_ADDRESS", address)
        monkeypatch.setenv("TS_MANAGEMENT_ADDRESS", address)
        yield Project(made.root)


class Background(threading.Thread):
    """A call that ends later, and what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.error: MarqueeError | None = None
        self.start()

    def run(self) -> None:
        try:
            self._call()
        except MarqueeError as error:
            self.error = error

    def ended(self) -> MarqueeError | None:
        self.join(30)
        assert not self.is_alive()
        return self.error


def described(api: Management) -> Version:
    found = api.describe("m", "1.0")
    assert found is not None
    return found


def draining(project: Project, manner: Manner = ORDERLY) -> Background:
    log = AccessLog(project, "m")

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch, Management.of(project) as api:
            patch.setattr(Manner, "of", lambda *_: manner)
            drain.drain(project, api, described(api), log)

    return Background(run)


def waiting_idle(project: Project, seconds: float = 60) -> Background:
    def run() -> None:
        with Management.of(project) as api:
            versions._wait_idle(project, api, described(api), seconds)

    return Background(run)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_request_in_flight_is_waited_for_though_another_worker_is_idle(
    project: Project, fake: FakeServer
) -> None:
    running = draining(project)
    until(lambda: fake.answered.count(IDLE) >= 3)
    assert running.is_alive()
    fake.let_go(BUSY)
    assert running.ended() is None
    assert BUSY in fake.answered
    assert all(path.endswith(f"?{OWN_MARK}") for path in fake.paths)


def test_idle_workers_are_asked_a_few_times_and_that_is_all(
    project: Project, fake: FakeServer
) -> None:
    fake.let_go(BUSY)
    assert draining(project).ended() is None
    assert {IDLE, BUSY} <= set(fake.answered)
    assert len(fake.answered) < 10


def test_a_worker_that_dies_is_not_waited_for(project: Project, fake: FakeServer) -> None:
    running = draining(project)
    until(lambda: IDLE in fake.answered)
    fake.kill(BUSY)
    fake.start(103)
    assert running.ended() is None


def test_a_sole_worker_need_not_tell_who_it_is(project: Project, fake: FakeServer) -> None:
    fake.header = False
    fake.kill(IDLE)
    running = draining(project, Manner(in_turn=True))
    until(lambda: bool(fake.paths))
    assert running.is_alive()
    fake.let_go(BUSY)
    assert running.ended() is None
    assert fake.answered[-1] == BUSY


def test_a_handler_that_tells_nothing_is_waited_for_as_long_as_it_may_take(
    project: Project, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answered, "SPARE_SECONDS", 0.5)
    fake.header, fake.seconds = False, 1
    start = time.monotonic()
    assert draining(project).ended() is None
    assert time.monotonic() - start > 1.5
    assert len(fake.answered) == answered.SILENT_ANSWERS


def test_a_queue_that_does_not_empty_leaves_the_workers(
    project: Project, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answered, "SPARE_SECONDS", 0.5)
    fake.seconds, fake.stuck = 0, 3
    assert "still wait after 1 s (3)" in str(draining(project).ended())
    assert not fake.answered


@pytest.mark.parametrize("manner", [Manner(), Manner(in_turn=True)])
def test_workers_of_which_nothing_can_be_known_stay(
    project: Project, fake: FakeServer, manner: Manner
) -> None:
    fake.header = False
    said = str(draining(project, manner).ended())
    assert "cannot be known" in said
    assert "marquee scale m --version 1.0" in said


def test_who_asks_for_the_version_while_it_is_drained_is_heeded(
    project: Project, fake: FakeServer
) -> None:
    running = draining(project)
    until(lambda: fake.answered.count(IDLE) >= 2)
    with (project.logs / "access_log.log").open("a") as file:
        file.write(f'2026 /1 "POST /predictions/m/1.0?{OWN_MARK} HTTP/1.1" 200 1\n')
        file.write('2026 /1 "POST /predictions/m/1.0 HTTP/1.1" 200 1\n')
    fake.let_go(BUSY)
    assert str(running.ended()).startswith("1 requests came for m 1.0 by its number")


def test_fewer_workers_wait_for_one_that_is_busy(
    project: Project, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(Manner, "of", lambda *_: ORDERLY)
    running = waiting_idle(project)
    until(lambda: fake.answered.count(IDLE) >= 3)
    assert running.is_alive()
    fake.let_go(BUSY)
    assert running.ended() is None


def test_fewer_workers_are_refused_while_one_is_busy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(Manner, "of", lambda *_: ORDERLY)
    said = str(waiting_idle(project, 1).ended())
    assert "was not without requests" in said


class Door:
    """A front door that counts down, a request each time it is asked."""

    def __init__(self, unanswered: int) -> None:
        self.left = unanswered

    def begin_epoch(self) -> int:
        return 7

    def in_flight(self, model: str, version: str, before: int | None = None) -> int:
        assert (model, version) == ("m", "1.0")
        assert before in (None, 7)
        self.left = max(0, self.left - (before is not None))
        return self.left


def test_a_front_door_that_counts_is_believed(
    project: Project, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(3)
    monkeypatch.setattr(answered, "running", lambda _: door)
    fake.header = False
    assert draining(project, Manner()).ended() is None
    assert door.left == 0


def test_a_front_door_is_not_believed_while_somebody_asks_by_grpc(
    project: Project, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.header = False
    monkeypatch.setattr(answered, "running", lambda _: Door(0))
    with socket.create_server(("127.0.0.1", 0)) as grpc:
        port = grpc.getsockname()[1]
        monkeypatch.setenv("TS_GRPC_INFERENCE_PORT", str(port))
        with socket.create_connection(("127.0.0.1", port)):
            asked = draining(Project(project.root), Manner())
            assert "cannot be known" in str(asked.ended())


def test_fewer_workers_are_refused_where_nothing_tells_that_they_are_idle(
    project: Project, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "IDLE_SECONDS", 0.2)
    fake.header = False
    assert "--force" in str(waiting_idle(project).ended())


@pytest.mark.parametrize(
    ("name", "text", "manner"),
    [
        ("handler.py", "class H: pass", Manner(in_turn=True, at_once=True)),
        ("a/b.py", "send_intermediate_predict_response(x)", Manner(in_turn=True)),
        ("model-config.yaml", "minWorkers: 1\nasyncCommunication: true\n", Manner()),
        ("model-config.yaml", "continuousBatching: true", Manner()),
        ("model-config.yaml", '{minWorkers: 1, "asyncCommunication": true}', Manner()),
        ("model-config.yaml", "a: [", Manner()),
        ("model-config.yaml", "minWorkers: 1  # no asyncCommunication: yet", ORDERLY),
        ("model-config.yaml", "asyncCommunication: false", ORDERLY),
    ],
)
def test_an_archive_tells_how_its_workers_answer(
    tmp_path: Path, name: str, text: str, manner: Manner
) -> None:
    for folder in (tmp_path / "unpacked", tmp_path / "packed"):
        archive = folder / "m-1.0.mar"
        (archive / name).parent.mkdir(parents=True)
        (archive / "MAR-INF").mkdir()
        about = {"modelName": "m", "handler": "handler.py"}
        (archive / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"model": about}))
        (archive / "handler.py").touch()
        (archive / name).write_text(text)
        if folder.name == "packed":
            zipped = shutil.make_archive(str(folder / "m"), "zip", archive)
            shutil.rmtree(archive)
            Path(zipped).rename(archive)
        found = Manner.of(folder, Version.of(FakeServer().describe()))
        assert (found.in_turn, found.at_once) == (manner.in_turn, manner.at_once)


def test_of_an_archive_that_is_not_in_the_store_nothing_is_believed(tmp_path: Path) -> None:
    assert Manner.of(tmp_path, Version.of(FakeServer().describe())) == Manner()
