"""Versions change under live traffic, and no request is lost; `python -m bench.swap` is larger."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.broken import AT_REQUEST, WAYS, variant
from bench.load import Load
from bench.swap import new_load, under_load
from bench.swap_table import retired_answers
from marquee.project import Project
from marquee.torchserve import loaded
from tests.support import Running, command, make_project, marquee, serving

pytestmark = pytest.mark.server
# Other work on the machine must not make a sound version seem slow.
# The two networks differ in speed, and by more where cores are shared.
WATCHED = ("--watch", "60s", "--max-slowdown", "100", "--json")
# More would take the cores from the commands under test; bench/swap.py asks as fast as it goes.
BESIDE = {"clients": 1, "rate": 40}
QUICK = ("--watch", "1s", "--max-slowdown", "100", "--json")


@pytest.fixture(scope="module")
def swapping(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with cifar's two versions; each test finds one of them serving."""
    made = make_project(tmp_path_factory.mktemp("swap") / "project", "cifar")
    for version in ("1.0", "2.0"):
        shutil.copy2(project.model_store / f"cifar-{version}.mar", made.model_store)
    with serving(made) as running:
        yield running


@pytest.fixture(scope="module")
def clients(swapping: Running) -> Load:
    """Clients that know the right answers; made before any version is retired."""
    return new_load(swapping)


def default(running: Running) -> str:
    with running.management() as client:
        return str(client.get("/models/cifar").json()[0]["modelVersion"])


def other(version: str) -> str:
    return "1.0" if version == "2.0" else "2.0"


def run(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    return marquee(running.project, *words, **running.environment)


def swapped(running: Running, *words: str) -> dict[str, Any]:
    done = run(running, *words, *QUICK)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def until_step(process: subprocess.Popen[str], step: str) -> None:
    assert process.stderr is not None
    printed = []
    for line in process.stderr:
        printed.append(line)
        if line.startswith(step):
            return
    raise AssertionError(f"the command ended before '{step}': {''.join(printed)}")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def while_asked(running: Running, load: Load, *commands: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run swaps while clients ask on; return their records."""

    async def both() -> list[dict[str, Any]]:
        async with under_load(load, **BESIDE):
            await asyncio.sleep(0.5)
            records = [await asyncio.to_thread(swapped, running, *words) for words in commands]
            await asyncio.sleep(0.5)
        return records

    return asyncio.run(both())


def test_no_request_is_lost_and_none_goes_to_a_retired_version(
    swapping: Running, clients: Load, tmp_path: Path
) -> None:
    store = swapping.project.model_store
    path = variant(store / "cifar-2.0.mar", tmp_path / "new.mar", "3.0")
    before = default(swapping)
    load = clients.fresh(**{"cifar/3.0": clients.expected["cifar/2.0"]})
    records = while_asked(
        swapping,
        load,
        ("swap", "cifar", other(before)),
        ("swap", "cifar", str(path)),  # from outside of the store
        ("rollback", "cifar"),
    )
    assert len(load.samples) > 100
    assert not [sample for sample in load.samples if sample.status != 200 or sample.wrong]
    switches = [
        (step["at"], step["at"] + step["seconds"], record["to"])
        for record in records
        for step in record["steps"]
        if step["step"] == "switch"
    ]
    assert [version for _, _, version in switches] == [other(before), "3.0", other(before)]
    assert retired_answers(load.samples, switches) == 0
    assert {sample.version for sample in load.samples} >= {"cifar/1.0", "cifar/2.0", "cifar/3.0"}
    assert (store / "cifar-3.0.mar").is_file()
    assert not swapping.describe("cifar", "3.0")["workers"]
    # What a restart would make the default.
    assert loaded.defaults(swapping.project)["cifar"] == default(swapping) == other(before)


@pytest.mark.parametrize("way", ["raises at load", "answers wrongly", "10x slower"])
def test_a_broken_version_is_refused_and_leaves_no_trace(
    swapping: Running, clients: Load, tmp_path: Path, way: str
) -> None:
    before, store = default(swapping), swapping.project.model_store
    code, reason = WAYS[way]
    path = variant(store / f"cifar-{before}.mar", tmp_path / "new.mar", "7.0", code)
    names = sorted(store.iterdir())

    load = clients.fresh()

    async def refused() -> subprocess.CompletedProcess[str]:
        words = ("swap", "cifar", str(path), "--watch", "2s", "--json")
        async with under_load(load, **BESIDE):
            return await asyncio.to_thread(run, swapping, *words)

    said = asyncio.run(refused())
    assert said.returncode == 1
    assert reason in said.stderr
    assert f"cifar {before} serves as before" in said.stderr
    assert json.loads(said.stdout)["outcome"] == "refused"
    assert default(swapping) == before
    assert sorted(store.iterdir()) == names
    assert {sample.status for sample in load.samples} == {200}


def test_a_version_that_fails_after_a_while_is_rolled_back(
    swapping: Running, clients: Load, tmp_path: Path
) -> None:
    before, store, load = default(swapping), swapping.project.model_store, clients.fresh()
    counts = "self.calls = getattr(self, 'calls', 0) + 1"
    code = AT_REQUEST.format(does=f"{counts}; assert self.calls < 150, 'told to'")
    path = variant(store / "cifar-2.0.mar", tmp_path / "new.mar", "8.0", code)

    async def rolled_back() -> tuple[subprocess.CompletedProcess[str], float]:
        words = ("swap", "cifar", str(path), "--watch", "200s", "--max-slowdown", "100", "--json")
        async with under_load(load, **BESIDE):
            said = await asyncio.to_thread(run, swapping, *words)
            end = time.time()
            for _ in range(600):  # until somebody asked since, and was answered
                await asyncio.sleep(0.05)
                if any(sample.sent > end for sample in load.samples):
                    break
        return said, end

    said, end = asyncio.run(rolled_back())
    assert said.returncode == 1
    assert "cifar 8.0 does worse: " in said.stderr
    assert json.loads(said.stdout)["outcome"] == "rolled back"
    assert default(swapping) == before
    assert not (store / "cifar-8.0.mar").exists()
    afterwards = [sample.status for sample in load.samples if sample.sent > end]
    assert set(afterwards) == {200}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_ends_too_early_leaves_the_old_version(
    swapping: Running, number: signal.Signals
) -> None:
    before = default(swapping)
    process = command(swapping, "swap", "cifar", other(before), *WATCHED)
    until_step(process, "switch")
    assert default(swapping) == other(before)
    process.send_signal(number)
    process.communicate(timeout=60)
    journal = swapping.project.state / "swap-cifar.json"
    deadline = time.monotonic() + 30
    while journal.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not journal.exists()
    assert default(swapping) == before
    records = json.loads(run(swapping, "history", "cifar", "--json").stdout)
    assert records[-1]["outcome"] == ("killed" if number == signal.SIGKILL else "rolled back")


def test_what_a_killed_command_and_its_guard_left_is_put_right_by_the_next(
    swapping: Running,
) -> None:
    before = default(swapping)
    process = command(swapping, "swap", "cifar", other(before), *WATCHED)
    until_step(process, "switch")
    os.kill(guard_of(process.pid), signal.SIGKILL)
    process.kill()
    process.communicate(timeout=30)
    assert default(swapping) == other(before)
    said = run(swapping, "swap", "cifar", before, *QUICK)
    assert "was killed" in said.stderr  # and with that, before serves again
    assert "serves already" in said.stderr
    assert default(swapping) == before


def guard_of(pid: int) -> int:
    import psutil  # noqa: PLC0415

    children = psutil.Process(pid).children()
    return next(child.pid for child in children if "marquee.versions.guard" in child.cmdline())


def test_two_swaps_at_a_time_are_refused(swapping: Running) -> None:
    before = default(swapping)
    process = command(swapping, "swap", "cifar", other(before), *WATCHED)
    until_step(process, "load")
    said = run(swapping, "swap", "cifar", other(before))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert f"another command changes cifar now (process {process.pid})" in said.stderr
    assert default(swapping) == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("swap", "cifar", "7.0"), "known are: 1.0, 2.0"),  # one that was refused before
        (("swap", "cifar", "no/such.mar"), "there is no archive"),
        (("swap", "cifar", "http://127.0.0.1:1/x.mar"), "allowed_urls"),
        (("swap", "nothing", "1.0"), "marquee register"),
        (("retire", "cifar", "9.0"), "it has: "),
        (("scale", "cifar", "--workers", "0"), "--force"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    swapping: Running, words: tuple[str, ...], reason: str
) -> None:
    said = run(swapping, *words)
    assert said.returncode == 1
    assert reason in said.stderr
    assert "Traceback" not in said.stderr


def test_the_version_that_serves_is_not_retired(swapping: Running) -> None:
    said = run(swapping, "retire", "cifar", default(swapping))
    assert said.returncode == 1
    assert "is the version that serves" in said.stderr


def test_workers_are_added_and_taken_away(swapping: Running) -> None:
    version = default(swapping)
    assert run(swapping, "scale", "cifar", "--workers", "2").returncode == 0
    assert len(swapping.worker_pids("cifar", version)) == 2
    assert run(swapping, "scale", "cifar", "--workers", "1").returncode == 0
    deadline = time.monotonic() + 30
    while len(swapping.worker_pids("cifar", version)) != 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(swapping.worker_pids("cifar", version)) == 1


HOLDS = """\
if os.path.exists({marker!r}):
                os.rename({marker!r}, {held!r})
                while os.path.exists({held!r}):
                    time.sleep(0.05)"""


def test_versions_of_two_workers_change_without_a_loss(
    swapping: Running, clients: Load, tmp_path: Path
) -> None:
    """One worker of two is busy for long; the idle one answers whatever is asked meanwhile."""
    before, store = default(swapping), swapping.project.model_store
    marker, held = tmp_path / "marker", tmp_path / "held"
    code = AT_REQUEST.format(does=HOLDS.format(marker=str(marker), held=str(held)))
    path = variant(store / f"cifar-{before}.mar", tmp_path / "new.mar", "6.0", code)
    swapped(swapping, "swap", "cifar", str(path))
    assert run(swapping, "scale", "cifar", "--workers", "2").returncode == 0
    load = clients.fresh(**{"cifar/6.0": clients.expected[f"cifar/{before}"]})

    def swap_back() -> tuple[int, str]:
        marker.touch()
        wait_until(held.exists)
        process = command(swapping, "swap", "cifar", before, *QUICK)
        until_step(process, "watch")
        time.sleep(4)  # a guess from other requests' times had ended the worker by now
        assert len(swapping.worker_pids("cifar", "6.0")) == 2
        held.unlink()
        said = process.communicate(timeout=120)[1]
        return process.returncode, said

    async def both() -> tuple[int, str]:
        async with under_load(load, **BESIDE):
            return await asyncio.to_thread(swap_back)

    status, said = asyncio.run(both())
    assert status == 0
    assert "6.0 is drained" in said
    assert not [sample for sample in load.samples if sample.status != 200 or sample.wrong]
    assert len(swapping.worker_pids("cifar", before)) == 2
    assert not swapping.worker_pids("cifar", "6.0")
    assert run(swapping, "scale", "cifar", "--workers", "1").returncode == 0


def test_a_version_that_is_kept_keeps_its_workers(swapping: Running) -> None:
    before = default(swapping)
    pids = swapping.worker_pids("cifar", before)
    swapped(swapping, "swap", "cifar", other(before), "--keep")
    assert swapping.worker_pids("cifar", before) == pids
    swapped(swapping, "rollback", "cifar")
    assert default(swapping) == before
    assert swapping.worker_pids("cifar", before) == pids


def test_the_last_worker_killed_in_a_swap_costs_what_it_held(
    swapping: Running, clients: Load
) -> None:
    before, load = default(swapping), clients.fresh()

    async def killed() -> float:
        async with under_load(load, clients=8, rate=0):
            process = command(swapping, "swap", "cifar", other(before), *QUICK)
            await asyncio.to_thread(until_step, process, "load")
            pids = await asyncio.to_thread(swapping.worker_pids, "cifar", before)
            os.kill(pids[0], signal.SIGKILL)
            at = time.time()
            await asyncio.to_thread(process.communicate)
        return at

    at = asyncio.run(killed())
    failed = [sample for sample in load.samples if sample.status != 200]
    assert len(failed) <= 8
    assert not [sample for sample in failed if sample.sent > at + 10]
    assert not [sample for sample in load.samples if sample.wrong]


def test_a_version_is_registered_beside_the_others(swapping: Running, tmp_path: Path) -> None:
    store = swapping.project.model_store
    path = variant(store / "cifar-1.0.mar", tmp_path / "new.mar", "4.0")
    before = default(swapping)
    assert run(swapping, "register", str(path)).returncode == 0
    assert default(swapping) == before
    assert swapping.describe("cifar", "4.0")["workers"]
    assert "registered already" in run(swapping, "register", str(path)).stderr
    assert run(swapping, "retire", "cifar", "4.0").returncode == 0
    assert not swapping.describe("cifar", "4.0")["workers"]
