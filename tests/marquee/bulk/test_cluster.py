"""The same on a Ray cluster: one that the command starts, and what is said where there is none."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import marquee
from marquee.bulk import cluster
from marquee.errors import MarqueeError
from marquee.processes import wait_ended
from marquee.project import Project
from marquee.ray.cluster import joined, started
from marquee.scratch import scratch
from tests.marquee.bulk.conftest import make, rows_of
from tests.support import BIN, clean_environment

COUNT = 160


def _seats(run: subprocess.Popen[str]) -> list[psutil.Process]:
    family = psutil.Process(run.pid).children(recursive=True)
    return [one for one in family if "ray::Seat" in " ".join(one.cmdline())]


def test_a_lost_worker_of_a_cluster_costs_no_row(tmp_path: Path) -> None:
    """Actors are killed while they are asked, and what they had in hand is asked again."""
    project = make(tmp_path / "project")
    (project.root / "in").mkdir()
    for number in range(COUNT):
        (project.root / "in" / f"{number}.bin").write_text(f"WAIT {number}")
    for word in ("BAD", "PIC", "RAISE"):
        (project.root / "in" / f"{word}.bin").write_text(word)
    words = ["batch", "net", "in", "out", "--address", "local", "--workers", "1"]
    run = subprocess.Popen(
        [BIN / "marquee", *words],
        cwd=project.root,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # progress, where there is time for it, and Ray's own words
        text=True,
    )
    table, deadline = project.root / "out" / "results.jsonl", time.monotonic() + 120
    while not (table.exists() and table.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    family = psutil.Process(run.pid).children(recursive=True)
    for seat in _seats(run):
        seat.send_signal(signal.SIGKILL)
    said, _ = run.communicate(timeout=180)
    assert said.startswith(f"{COUNT + 1} of {COUNT + 3} have an answer"), said
    assert run.returncode == 1
    assert wait_ended(family, 10) == []
    rows = rows_of(project.root / "out")
    assert len(rows) == COUNT + 3
    assert rows["7.bin"]["answer"]["length"] == len("WAIT 7")
    assert rows["BAD.bin"]["error"] == "415 it is bad"
    assert rows["RAISE.bin"]["error"] == "503 the handler raised ValueError: no such thing"
    assert (project.root / "out" / rows["PIC.bin"]["file"]).read_bytes().endswith(b"PIC")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionError("nobody"), "there is no Ray cluster at auto (nobody); start one (ray sta"),
        (RuntimeError("Version mismatch: 2.1"), "(Version mismatch: 2.1); use the same on all mac"),
        (ValueError("odd"), "the cluster at auto cannot be joined: odd"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def init(**_: Any) -> None:
        raise error

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(MarqueeError) as raised, joined("auto", "say --address local"):
        pytest.fail("there is no cluster")
    assert told in str(raised.value)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_nobody_listens_is_told_at_once(address: str) -> None:
    with (
        pytest.raises(MarqueeError, match=f"no Ray cluster at {address} .nobody listens there"),
        joined(address, "say --address local"),
    ):
        pytest.fail("there is no cluster")


def test_a_ray_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")  # noqa: TRY002 - Ray's own

    monkeypatch.setattr("ray.init", init)
    with (
        pytest.raises(MarqueeError, match=r"Ray does not start here: The current node timed out"),
        scratch() as folder,
        started(folder / "ray"),
    ):
        pytest.fail("it has not started")


def test_without_ray_the_extra_is_named(
    net: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MarqueeError, match=r"needs Ray, which .*'marquee\[ray\]'"):
        marquee.batch(net, "net", str(net.root), tmp_path / "out", address="auto")


@pytest.mark.parametrize(
    ("nodes", "count", "cpus", "gpus"),
    [
        ([{"CPU": 4.0}], 1, 4, 0.0),
        ([{"CPU": 4.0}, {"CPU": 2.0}], 2, 2, 0.0),
        ([{"CPU": 4.0}, {"CPU": 4.0}], 8, 1, 0.0),
        ([{"CPU": 2.0}], 5, 1, 0.0),
        ([{"CPU": 8.0, "GPU": 1.0}], 2, 4, 0.5),
        ([{"CPU": 8.0, "GPU": 4.0}], 2, 4, 1.0),
    ],
)
def test_workers_reserve_their_share_of_a_cluster(
    nodes: list[dict[str, float]], count: int, cpus: int, gpus: float
) -> None:
    options = cluster._options(nodes, count)
    assert (options["num_cpus"], options["num_gpus"]) == (cpus, gpus)
