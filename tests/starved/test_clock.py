"""A machine's clock that is set, forth and back, while requests come and a version is swapped."""

from __future__ import annotations

import shutil
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.front.conftest import haproxy  # noqa: F401 - a fixture
from tests.front.support import load
from tests.server.test_content_types import SHIP
from tests.support import BIN, Running, make_project, marquee, serving

pytestmark = pytest.mark.server
HOUR = 3600
# Seconds that the clock is ahead, one after the other; in between, requests come.
SETTINGS = (HOUR, -HOUR, 0, 48 * HOUR, -48 * HOUR, 400 * 24 * HOUR, 0)
CLIENTS = 4
BETWEEN_SECONDS = 1.0


@dataclass(frozen=True)
class Clock:
    """The wall clock of the processes that are given its ``environment``."""

    library: Path
    shift: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process see it."""
        return {"LD_PRELOAD": str(self.library), "CLOCK_SHIFT": str(self.shift)}

    def set(self, ahead: int) -> None:
        """Set it to so many seconds ahead of the machine's."""
        with self.shift.open("r+b") as file:
            file.write(struct.pack("=q", ahead))


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """A clock that nobody has set yet."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NOT TESTED, a clock that is set: there is no C compiler (cc)")
    folder = tmp_path_factory.mktemp("clock")
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    shift = folder / "shift"
    shift.write_bytes(struct.pack("=q", 0))
    return Clock(library, shift)


@pytest.fixture(scope="module")
def clocked(
    haproxy: Path,  # noqa: F811
    clock: Clock,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A server with that clock, in all of its processes."""
    project = make_project(tmp_path_factory.mktemp("clocked") / "project", "cifar")
    built = marquee(project, "archive")
    assert built.returncode == 0, built.stderr
    command = (BIN / "marquee", "serve", "--front")
    with serving(project, *command, **clock.environment) as running:
        yield running


def test_the_processes_see_the_clock(clock: Clock, clocked: Running) -> None:
    clock.set(48 * HOUR)
    with clocked.client() as client:
        client.post("/predictions/cifar", content=SHIP)
    told = (clocked.project.logs / "access_log.log").read_text().splitlines()[-1]
    clock.set(0)
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 48 * HOUR))
    assert told.startswith(day)


def test_requests_are_answered_whatever_the_clock_says(clock: Clock, clocked: Running) -> None:
    before = clocked.worker_pids("cifar", "2.0")
    with load(clocked, "/predictions/cifar", SHIP, CLIENTS) as asking:
        for ahead in SETTINGS:
            clock.set(ahead)
            time.sleep(BETWEEN_SECONDS)
    assert not asking.failures
    statuses = Counter(asking.statuses)
    # HAProxy may take what is in flight at a leap forward for overdue, once.
    assert set(statuses) <= {200, 504}
    assert statuses[504] <= CLIENTS * len(SETTINGS)
    assert statuses[200] > CLIENTS * len(SETTINGS)
    assert clocked.worker_pids("cifar", "2.0") == before


@pytest.mark.parametrize("ahead", [48 * HOUR, -48 * HOUR])
def test_a_version_is_swapped_while_the_clock_is_set(
    clock: Clock, clocked: Running, ahead: int
) -> None:
    target = {48 * HOUR: "1.0", -48 * HOUR: "2.0"}[ahead]
    threading.Timer(2.0, clock.set, [ahead]).start()
    done = marquee(clocked.project, "swap", "cifar", target, "--watch", "4s", **clocked.environment)
    assert done.returncode == 0, done.stderr
    with clocked.client() as client:
        answer = client.post("/predictions/cifar", content=SHIP)
        assert answer.headers["x-marquee-version"] == f"cifar/{target}"
        assert client.get("/ping").status_code == 200
