"""The run loop: whenever it is told to stop, it ends in order, and a failure is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.serving import run
from marquee.serving.run import Foreground
from marquee.torchserve import server

LONG = 60.0
WAITING = "Answering 2 requests in flight, for up to 120 s; Ctrl-C does not wait for them."
MOMENTS = ("start", "open", "opened", "load", "answer", "ready", "watch")
# What begins although a signal has come: nobody looks before.
UNHEEDED = {"open": ["opened", "load"], "opened": ["load"], "ready": ["watch"]}


def nothing() -> None:
    """Do nothing."""


@dataclass
class Stage:
    """A server and a door that write down what is asked of them; one moment is the test's."""

    moment: str
    act: Callable[[], None]
    steps: list[str] = field(default_factory=list)
    alive: bool = True
    end_is_wanted: bool = False
    closing: bool = False
    open: bool = True
    project: Any = None
    printed: str = ""

    def at(self, moment: str) -> None:
        self.steps.append(moment)
        if moment == self.moment:
            self.act()

    # The server's side.
    def start(self, *_: object) -> Stage:
        self.at("start")
        return self

    def wait_ready(self, loaded: Callable[[tuple[str, str]], None], _api: object) -> None:
        self.at("load")
        for _ in range(3):  # as long as a model takes
            time.sleep(0.1)
        loaded(("m", "1.0"))

    def stop_server(self, _project: Project) -> bool:
        self.steps.append("stop")
        return True

    # The door's side.
    def prepare(self) -> dict[str, str]:
        return {}

    def open_door(self, _alive: Callable[[], bool]) -> None:
        self.at("open")

    def wait_answers(self) -> None:
        self.at("answer")
        interrupts.until(lambda: self.moment != "answer", LONG)

    def close(self, draining: Callable[[int], None], hurried: Callable[[], bool]) -> int:
        self.at("close")
        draining(2)
        return 2 if hurried() else 0


class Told(Foreground):
    """Writes down what people would read."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        super().__init__(Project(Path("/no/project")), door_of(stage))

    def _opened(self) -> None:
        self.stage.at("opened")

    def _ready(self) -> None:
        self.stage.at("ready")

    @contextmanager
    def _watching(self) -> Iterator[Callable[[], None]]:
        yield lambda: self.stage.at("watch")

    def _say(self, text: str) -> None:
        if text not in ("Stopping.", WAITING):
            self.stage.steps.append(text)


def door_of(stage: Stage) -> Any:
    return SimpleNamespace(
        prepare=stage.prepare,
        open=stage.open_door,
        management=nothing,
        wait_ready=stage.wait_answers,
        check=lambda: stage.open,
        close=stage.close,
        haproxy=SimpleNamespace(closing=stage.closing),
        settings=SimpleNamespace(drain_timeout=120),
    )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    """A function that sets the stage for a run."""

    def made(moment: str, act: Callable[[], None] = nothing, **more: Any) -> Stage:
        built = Stage(moment, act, **more)
        monkeypatch.setattr(server, "start", built.start)
        monkeypatch.setattr(server, "stop", built.stop_server)
        monkeypatch.setattr(run, "WATCH_SECONDS", LONG)
        return built

    return made


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_at_any_moment_ends_it_in_order(
    stage: Callable[..., Stage], moment: str, number: int
) -> None:
    before = signal.getsignal(number)
    built = stage(moment, lambda: send(number))
    start = time.monotonic()
    Told(built).run()
    assert time.monotonic() - start < LONG  # no wait went on to its end
    begun = [*MOMENTS[: MOMENTS.index(moment) + 1], *UNHEEDED.get(moment, [])]
    assert built.steps == [*begun, "close", "stop", "Stopped."]
    assert signal.getsignal(number) == before


def test_a_second_signal_hurries_and_disturbs_nothing(stage: Callable[..., Stage]) -> None:
    built = stage("watch", send)

    class Impatient(Told):
        def _draining(self, count: int) -> None:
            send(signal.SIGINT)
            send(signal.SIGTERM)

    Impatient(built).run()
    assert built.steps[-4:] == ["close", "2 requests were cut off.", "stop", "Stopped."]

    class Patient(Impatient):
        hurries = False

    built = stage("watch", send)
    Patient(built).run()
    assert built.steps[-3:] == ["close", "stop", "Stopped."]


def test_a_door_that_is_closed_from_elsewhere_ends_it(stage: Callable[..., Stage]) -> None:
    built = stage("", open=False)
    Told(built).run()
    assert built.steps[-4:] == ["watch", "close", "stop", "Stopped."]


@pytest.mark.parametrize(("closed", "wanted"), [(True, False), (False, True), (False, False)])
def test_a_wanted_end_is_quiet(stage: Callable[..., Stage], closed: bool, wanted: bool) -> None:
    built = stage("", alive=False, closing=closed, end_is_wanted=wanted)
    if closed or wanted:
        Told(built).run()
    else:
        with pytest.raises(MarqueeError, match="TorchServe ended by itself: "):
            Told(built).run()
    assert built.steps[-2:] == ["stop", "Stopped."]


def test_what_keeps_it_from_starting_is_told_when_all_has_ended(
    stage: Callable[..., Stage],
) -> None:
    def fail() -> None:
        raise MarqueeError("the moon is full")

    built = stage("load", fail)
    with pytest.raises(MarqueeError, match="the moon is full"):
        Told(built).run()
    assert built.steps == ["start", "open", "opened", "load", "close", "stop", "Stopped."]


def test_a_server_without_a_door(stage: Callable[..., Stage]) -> None:
    built = stage("watch", send)
    bare = Told(built)
    bare.door = None
    bare.run()
    assert built.steps == ["start", "opened", "load", "ready", "watch", "stop", "Stopped."]
