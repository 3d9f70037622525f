"""The threads that keep the door go on whatever happens, and wait for nobody."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from marquee.front import config, launch, maps, program, runtime
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from marquee.front.traffic import Traffic
from marquee.project import Project
from marquee.serving import beat, door
from marquee.serving.door import Keeper
from marquee.torchserve.management import Management
from marquee.torchserve.readiness import Prober, Readiness, Timing
from marquee.versions.canary import Watcher
from tests.front.support import wait_for
from tests.support import make_project


class Moody(Prober):
    """Raises what nobody expects, then finds all well."""

    def __init__(self) -> None:
        super().__init__(Management("http://127.0.0.1:1", None), lambda *_: None, Path(), Timing())
        self.checks = 0

    def check(self, wanted: Mapping[str, str] | None = None) -> Readiness:
        self.checks += 1
        if self.checks < 4:
            raise KeyError("modelVersion")
        return Readiness({("m", "1.0"): None})


def test_a_keeper_outlives_what_nobody_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beat, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(Keeper, "_publish_names", lambda *_: None)
    published: list[dict[str, str]] = []
    state = SimpleNamespace(set=published.append)
    monkeypatch.setattr(Haproxy, "map", lambda *_: state)
    settings = FrontSettings(folder=tmp_path, inference_address="http://127.0.0.1:8080")
    made = Keeper(settings, Moody(), Traffic(), Watcher(Project(tmp_path)))
    made.start()
    wait_for(lambda: made.ready, "a beat that ends well")
    made.end()
    made.join(10)
    assert published[0]["ready"] == "1"
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert "KeyError: 'modelVersion'" in caplog.text


@pytest.mark.usefixtures("haproxy")
def test_the_log_of_haproxy_is_read_on_whatever_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def add(_: Traffic, line: str) -> None:
        seen.append(line)
        if line == "two":
            raise ValueError("told to")

    monkeypatch.setattr(Traffic, "add", add)
    settings = FrontSettings(folder=tmp_path, inference_address="http://127.0.0.1:8080")
    made = door.Door(make_project(tmp_path / "p"), settings, log=logging.getLogger("front"))
    made.take(["one", "two", "three"])
    assert seen == ["one", "two", "three"]
    assert "told to" in caplog.text


def test_the_log_of_haproxy_is_read_on_whoever_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    seen: list[list[str]] = []

    def log(lines: list[str]) -> None:
        seen.append(lines)
        if lines == ["one"]:
            os.write(writing, b"two\nthree\n")
            os.close(writing)
            raise ValueError("told to")

    os.write(writing, b"one\n")
    printed = os.fdopen(reading, "rb")
    running: subprocess.Popen[bytes] = SimpleNamespace(stdout=printed)  # type: ignore[assignment]
    launch._read(running, log, [])
    assert seen == [["one"], ["two", "three"]]
    assert "told to" in caplog.text
    assert launch.all_read(running)


def test_a_reload_keeps_what_is_told_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canary that is withdrawn while the next process reads its files must not come back."""
    haproxy = Haproxy(tmp_path)
    settings = FrontSettings(folder=tmp_path, inference_address="http://127.0.0.1:8080")
    config.write(settings)
    launch.remember(settings)
    order: list[str] = []
    monkeypatch.setattr(program, "check", lambda _: None)
    monkeypatch.setattr(runtime, "worker_pids", lambda _: [1])

    def replaced(*_: object) -> bool:
        order.append("replaced")
        return True

    def tell() -> None:
        haproxy.map(maps.CANARY).set({"m": "1/2.0"})
        order.append("told")

    waiting = threading.Thread(target=tell)

    def command(_: Path, text: str) -> str:
        if text == "reload":
            waiting.start()
            waiting.join(0.3)
        return ""

    monkeypatch.setattr(launch, "_is_replaced", replaced)
    monkeypatch.setattr(runtime, "command", command)
    launch.reload(settings)
    waiting.join(30)
    assert order == ["replaced", "told"]
