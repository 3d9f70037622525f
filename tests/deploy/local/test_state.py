"""What a cloud leaves on disk, and the commands where none runs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local import account, state
from deploy.local.state import RunningCloud
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.support import marquee


def kept(
    project: Project, process: subprocess.Popen[bytes], temp: Path, born: float
) -> RunningCloud:
    """Write the state of a cloud that ``process`` is."""
    temp.mkdir()
    known = RunningCloud(
        process.pid, born, "http://a", "http://b", "key", str(temp), owns_server=False
    )
    state.write(project, known)
    return known


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    """A process that stands for a cloud."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_down_stops_the_process_and_removes_what_it_left(
    empty: Project, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    kept(empty, sleeper, tmp_path / "temp", psutil.Process(sleeper.pid).create_time())
    assert state.running(empty) is not None
    assert state.down(empty)
    assert sleeper.poll() is not None
    assert not (tmp_path / "temp").exists()
    assert not state.path(empty).exists()
    assert not state.down(empty)


def test_another_process_with_its_number_is_left_alone(
    empty: Project, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    kept(empty, sleeper, tmp_path / "temp", born=time.time() - 1000)
    assert state.running(empty) is None
    assert state.down(empty)
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()


def test_a_damaged_state_is_told(empty: Project) -> None:
    empty.state.mkdir()
    state.path(empty).write_text("{")
    with pytest.raises(MarqueeError, match="damaged"):
        state.read(empty)


def test_where_no_cloud_runs_the_commands_say_so(empty: Project) -> None:
    told = marquee(empty, "cloud", "env")
    assert (told.returncode, told.stdout) == (1, "")
    assert "no cloud of this project is running; start it: marquee cloud up" in told.stderr
    assert marquee(empty, "cloud", "down").stdout == "no cloud of this project is running\n"


def test_an_option_that_is_no_pair_is_told(empty: Project) -> None:
    told = marquee(empty, "cloud", "up", "--parameter", "nothing")
    assert told.returncode == 2
    assert "'nothing' is not NAME=VALUE" in told.stderr


def test_a_project_without_archives_is_told_what_to_do(empty: Project) -> None:
    told = marquee(empty, "cloud", "up", TS_INFERENCE_ADDRESS="http://127.0.0.1:0")
    assert told.returncode == 1
    assert "make archive" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "samtranslator", None)
    with pytest.raises(MarqueeError, match="needs the package samtranslator, .*make env"):
        account.needed()


def test_what_keeps_a_detached_cloud_from_starting_is_told(empty: Project) -> None:
    told = marquee(empty, "cloud", "up", "--detach", "--port", "0")
    assert told.returncode == 1
    assert "the cloud did not start: Error: " in told.stderr
    assert "make archive" in told.stderr
