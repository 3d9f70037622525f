"""A tuning server does not outlive a command that was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from marquee.interrupts import until
from marquee.project import CONFIG_NAME, Project
from marquee.torchserve.server import SERVER_CLASS, pid_file
from marquee.tuning.guard import watching

COMMAND = """
import sys, time
from pathlib import Path
from marquee.project import Project
from marquee.tuning.guard import watching
folder = sys.argv[1]
with watching(Project(Path(folder), {"TEMP": folder})):
    print("watched", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def own(tmp_path: Path) -> Project:
    folder = tmp_path / "tune-own"
    folder.mkdir()
    (folder / CONFIG_NAME).write_text("")
    return Project(folder, {"TEMP": str(folder)})


def _server(own: Project) -> "subprocess.Popen[bytes]":
    """Return what looks like the project's server."""
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)", SERVER_CLASS]
    process = subprocess.Popen(sleeps)
    pid_file(own).write_text(str(process.pid))
    return process


def test_a_killed_command_takes_its_server_and_folder_along(own: Project) -> None:
    running = _server(own)
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, own.root], stdout=subprocess.PIPE, text=True
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == "watched\n"
        command.kill()
        assert running.wait(60) != 0
        assert until(lambda: not own.root.exists(), 60)
    finally:
        for process in (command, running):
            process.kill()
            process.communicate()


def test_a_command_that_ends_itself_leaves_the_rest_alone(own: Project) -> None:
    running = _server(own)
    try:
        with watching(own):
            pass
        assert running.poll() is None
        assert own.root.is_dir()
    finally:
        running.kill()
        running.wait()
