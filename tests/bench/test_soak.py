"""The soak's short form against a real server, and how it counts."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from bench.load import Sample
from bench.soak import KILLED, Soak, report, soak
from bench.soak_events import Event
from bench.soak_watch import slope
from marquee.project import Project
from tests.support import BIN, make_project, serving


def sample(sent: float, seconds: float, status: int = 0, wrong: str = "") -> Sample:
    return Sample(sent, seconds, status, "cifar/1.0", wrong, steady_rate=True)


def test_only_what_a_killed_worker_held_may_be_lost() -> None:
    samples = [sample(9, 2), sample(9, 2, 200), sample(11, 1), sample(5, 1)]
    events = [Event(KILLED, "cifar", 10, 10), Event(KILLED, "smoke", 5.5, 5.5)]
    found = Soak({"cifar": samples}, events)
    assert found.failed() == {"in hand": [samples[0]], "lost": [samples[2], samples[3]]}


def test_a_step_is_no_slope_and_a_leak_is() -> None:
    hour = [(60.0 * minute, float(minute > 50)) for minute in range(60)]
    assert slope(hour) == 0
    assert slope([(at, at / 36) for at, _ in hour]) == pytest.approx(100)
    assert slope([(0.0, 1.0)]) == 0


@pytest.mark.server
def test_some_seconds_of_everything_loses_nothing(project: Project, tmp_path: Path) -> None:
    made = make_project(tmp_path / "project", "cifar")
    for version in ("1.0", "2.0"):
        shutil.copy2(project.model_store / f"cifar-{version}.mar", made.model_store)
    with serving(made, BIN / "marquee", "serve", "--front") as running:
        found = asyncio.run(
            soak(running, ["cifar"], 25, pace={"operator": 4, "kill": 9, "halt": 7})
        )
    said = report(found)
    assert found.requests > 200, said
    assert found.wrong == []
    assert found.failed()["lost"] == [], said
    assert found.problems == [], said
    assert {"swap", KILLED, "worker halted", "HAProxy halted"} <= {one.kind for one in found.events}
