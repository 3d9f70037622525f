"""A signal ends `marquee cloud up` in order, whenever it comes."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from deploy.local import state, up
from deploy.local.cloud import Cloud, CloudOptions
from marquee.project import Project
from marquee.torchserve.server import running_pid, stop
from tests.deploy.local.support import eventually
from tests.support import BIN, ROOT, clean_environment, server_environment


class Holding(Cloud):
    """A cloud that is told to stop while a library holds a lock, which its end needs."""

    lock = Lock()

    def start(self, progress: Callable[[str], None] = lambda _: None) -> Any:
        """Do a part, in which the signal comes; begin another."""
        self.lock.acquire()
        os.kill(os.getpid(), signal.SIGTERM)
        self.lock.release()
        progress("the next part")
        raise AssertionError("it went on")

    def close(self) -> None:
        """Need the lock."""
        assert self.lock.acquire(timeout=1)
        self.lock.release()


def test_a_signal_breaks_into_nothing(empty: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "Cloud", Holding)
    assert up.run(empty, CloudOptions()) == 0


def test_what_goes_wrong_is_written_to_the_clouds_log(empty: Project) -> None:
    cloud = Cloud(empty)
    cloud._log()
    logging.getLogger("deploy.local.lambdas").warning("a function failed")
    cloud.close()
    assert "a function failed" in (empty.logs / "cloud" / "cloud.log").read_text()


@pytest.fixture(scope="module")
def stack_project(small_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of cifar alone, with the stack."""
    root = tmp_path_factory.mktemp("signals") / "project"
    shutil.copytree(small_project.root, root, symlinks=True)
    shutil.copytree(
        ROOT / "deploy" / "aws", root / "deploy" / "aws", ignore=lambda *_: ["__pycache__"]
    )
    return Project(root)


def _server_starts(project: Project) -> bool:
    return (project.logs / "console.log").exists()


def _services_listen(project: Project) -> bool:
    return (project.logs / "cloud" / "cloud.log").exists()


def _is_up(project: Project) -> bool:
    return state.path(project).exists()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (_server_starts, signal.SIGTERM),
        (_services_listen, signal.SIGHUP),
        (_is_up, signal.SIGTERM),
    ],
)
def test_a_signal_leaves_nothing(
    stack_project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: Callable[[Project], bool],
    number: signal.Signals,
) -> None:
    shutil.rmtree(stack_project.logs, ignore_errors=True)
    environment = server_environment(tmp_path) | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [BIN / "marquee", "cloud", "up", "--port", "0", "--api-port", "0"],
        cwd=stack_project.root,
        env=clean_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        eventually(lambda: process.poll() is not None or moment(stack_project), 120)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:  # its server is in a session of its own
            os.killpg(process.pid, signal.SIGKILL)
            monkeypatch.setenv("TEMP", str(tmp_path))
            stop(Project(stack_project.root))
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    monkeypatch.setenv("TEMP", str(tmp_path))
    assert running_pid(Project(stack_project.root)) is None
    assert not state.path(stack_project).exists()
    assert not [*tmp_path.glob("marquee-cloud-*")]
