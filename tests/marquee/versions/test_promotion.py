"""A canary becomes the default by the steps of a swap; what is killed on the way is put right."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from marquee import state
from marquee.errors import MarqueeError
from marquee.front.traffic import Traffic
from marquee.project import Project
from marquee.torchserve.management import Management, Version
from marquee.torchserve.readiness import Prober
from marquee.versions import canaries, canary, candidate, change, drain, history, journal, recovery
from marquee.versions.canaries import Canary, load, locked
from marquee.versions.candidate import Candidate
from marquee.versions.change import ChangeFailed
from marquee.versions.journal import Plan
from marquee.versions.judgement import SwapPolicy
from marquee.versions.swap import promote
from tests.marquee.versions.fake import FakeServer
from tests.support import make_project

QUICK = SwapPolicy(watch_seconds=0)
TRIED = Canary("m", "2.0", 0.1, 1.0)


class Server:
    """TorchServe's management of one model with two versions, and the door's splits."""

    def __init__(self) -> None:
        self.workers = {"1.0": 2, "2.0": 1}
        self.default_version = "1.0"
        self.splits = {"m": "2.0"}

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def describe(self, _: str, version: str) -> Version:
        workers = [{"id": n, "pid": n, "status": "READY"} for n in range(self.workers[version])]
        about: dict[str, Any] = {"modelVersion": version, "minWorkers": self.workers[version]}
        return Version.of({**FakeServer().describe(), **about, "workers": workers})

    def known(self, model: str) -> Version:
        return self.describe(model, self.default_version)

    def default(self, _: str) -> str:
        return self.default_version

    def set_default(self, _: str, version: str) -> None:
        self.default_version = version

    def scale(self, _: str, version: str, workers: int) -> None:
        self.workers[version] = workers

    def set_canary(self, model: str, version: str, _share: float) -> None:
        self.splits[model] = version

    def remove_canary(self, model: str) -> None:
        self.splits.pop(model, None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(Management, "of", lambda _: made)
    for name in ("running", "front_door"):
        monkeypatch.setattr(canaries, name, lambda _: made)
    for module in (change, recovery):
        monkeypatch.setattr(module, "wait_loaded", lambda *of, **_: made.describe(*of[2:]))
    monkeypatch.setattr(drain, "drain", lambda *_, **__: None)
    return made


@pytest.fixture
def promoting(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose canary answers as it should, as long as the test does not say otherwise."""
    project = make_project(tmp_path / "project")
    with locked(project) as known:
        known["m"] = TRIED
    new = Candidate("m", "2.0", project.model_store / "m-2.0.mar", "digest")
    monkeypatch.setattr(candidate, "of_version", lambda *_: new)
    return project


def test_a_promotion_takes_the_steps_of_a_swap(promoting: Project, server: Server) -> None:
    told: list[str] = []
    assert promote(promoting, "m", QUICK, lambda step: told.append(step["step"])) == TRIED
    assert told == ["load", "check", "compare", "switch", "watch", "retire"]
    assert server.default_version == "2.0"
    assert server.workers == {"1.0": 2, "2.0": 2}  # as many as the version before, which keeps its
    assert not load(promoting)
    assert not server.splits
    assert state.chosen_defaults(promoting) == {"m": "2.0"}
    assert journal.unfinished(promoting, "m") is None
    record = history.read(promoting)[-1]
    assert (record["action"], record["outcome"]) == ("canary promote", "done")
    assert (record["from"], record["to"], record["share"]) == ("1.0", "2.0", 0.1)


def test_a_canary_that_answers_wrongly_is_not_promoted(
    promoting: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> str:
        raise MarqueeError("example.png: 3 of 10 values are off")

    monkeypatch.setattr(change, "check", wrong)
    with pytest.raises(ChangeFailed, match=r"are off; stopped at 'check', m 1\.0 serves as before"):
        promote(promoting, "m", QUICK)
    assert server.default_version == "1.0"
    assert load(promoting) == {"m": TRIED}
    assert server.splits
    assert server.workers["2.0"] == 2  # more than before, since they may hold requests of clients


def test_what_does_worse_as_the_default_goes_back_and_is_no_canary_any_more(
    promoting: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse(*_: object, **__: object) -> str:
        assert server.default_version == "2.0"
        return "told to"

    monkeypatch.setattr(change, "worse_than_before", worse)
    with pytest.raises(ChangeFailed, match=r"m 2\.0 does worse: told to; stopped at 'watch'"):
        promote(promoting, "m", QUICK)
    assert server.default_version == "1.0"
    assert server.workers == {"1.0": 2, "2.0": 1}
    assert not load(promoting)
    assert not server.splits
    assert history.read(promoting)[-1]["outcome"] == "rolled back"
    assert journal.unfinished(promoting, "m") is None


@contextmanager
def killed_at_the_switch(promoting: Project, server: Server) -> Iterator[None]:
    """Leave what a promotion leaves that was killed together with its guard."""
    journal.save(promoting, Plan("m", "1.0", "2.0", 2, 1, canary=True, moved=True))
    server.default_version = "2.0"
    yield
    assert server.default_version == "1.0"
    assert not load(promoting)
    assert not server.splits
    assert journal.unfinished(promoting, "m") is None


def test_a_killed_promotion_is_put_right(promoting: Project, server: Server) -> None:
    with killed_at_the_switch(promoting, server):
        plan = journal.unfinished(promoting, "m")
        assert plan is not None
        said = recovery.recover(promoting, Management.of(promoting), plan)
        assert "1.0 serves, as before" in said


def test_withdrawing_a_canary_whose_promotion_was_killed_takes_the_default_back(
    promoting: Project, server: Server
) -> None:
    with killed_at_the_switch(promoting, server):
        assert canary.withdraw(promoting, "m") == TRIED


def test_a_promotion_that_was_killed_before_the_switch_leaves_the_canary(
    promoting: Project, server: Server
) -> None:
    plan = Plan("m", "1.0", "2.0", 2, 1, canary=True)
    server.workers["2.0"] = 2
    recovery.recover(promoting, Management.of(promoting), plan)
    assert load(promoting) == {"m": TRIED}
    assert (server.default_version, server.workers["2.0"]) == ("1.0", 2)


def test_a_promotions_trial_does_not_hold_up_who_watches(
    promoting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, over = threading.Event(), threading.Event()

    def check(*_: object) -> str:
        trial.set()
        over.wait(30)
        return "well"

    monkeypatch.setattr(change, "check", check)
    thread = threading.Thread(target=promote, args=(promoting, "m", QUICK))
    thread.start()
    assert trial.wait(30)
    start = time.monotonic()
    with locked(promoting) as known:  # what the keeper does each second
        assert list(known) == ["m"]
    assert not over.is_set()
    assert time.monotonic() - start < 20
    over.set()
    thread.join(30)
    assert not load(promoting)


def test_a_canary_that_was_withdrawn_during_its_trial_is_not_promoted(
    promoting: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "check", lambda *_: str(canary.withdraw(promoting, "m")))
    with pytest.raises(MarqueeError, match="was ended while it was tried"):
        promote(promoting, "m", QUICK)
    assert server.default_version == "1.0"
    assert not (promoting.state / "defaults.json").exists()


def test_a_canary_is_on_disk_before_the_door_knows_it(
    promoting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, it is watched; a split that is on no disk would be nobody's."""
    split: list[str] = []
    door = SimpleNamespace(set_canary=lambda *_: split.extend(load(promoting)))
    monkeypatch.setattr(canaries, "running", lambda _: door)
    with locked(promoting) as known:
        known.clear()
    canary._begin(promoting, TRIED)
    assert split == ["m"]


@pytest.mark.parametrize(("proven", "withdrawn"), [(False, True), (True, False)])
def test_a_canary_that_refuses_what_the_default_takes_is_withdrawn_unless_it_has_proven_itself(
    promoting: Project, proven: bool, withdrawn: bool
) -> None:
    with locked(promoting) as known:
        known["m"] = replace(TRIED, proven=proven)
    traffic, prober = Traffic(), cast("Prober", SimpleNamespace(look=lambda *_: None))
    watcher = canary.Watcher(promoting)
    watcher.look(prober, traffic)
    for arm, version, status in (("default", "-", 200), ("canary", "2.0", 415)) * 20:
        of = {"model": "m", "arm": arm, "version": version, "status": status, "server_ms": 5}
        traffic.add(json.dumps(of))
    watcher.look(prober, traffic)
    assert ("m" not in load(promoting)) == withdrawn
    assert ("it refused 100.0% of 20" in str(history.read(promoting))) == withdrawn
