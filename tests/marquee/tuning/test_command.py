"""``marquee tune``, as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner

from marquee.cli.main import main
from marquee.project import Project
from tests.support import BIN, ROOT, check_mark, clean_environment, make_project, marquee

WORDS = ("tune", "cifar", "--version", "1.0", "--clients", "4")


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with cifar, whose LeNet is built."""
    project = make_project(tmp_path_factory.mktemp("tune") / "project", "cifar")
    assert marquee(project, "archive", "cifar").returncode == 0
    return project


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """A short folder for the server."""
    folder = Path("/tmp") / f"mqt-{os.getpid()}-{tmp_path.name[-2:]}"  # noqa: S108
    folder.mkdir(mode=0o700)
    return folder


def told(project: Project, *words: str) -> str:
    done = marquee(project, *words)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "cifar")
    assert "there is no model 'cafir'" in told(project, "tune", "cafir")
    assert "cifar has no version '9'; it has 1.0, 2.0" in told(
        project, "tune", "cifar", "--version", "9"
    )
    assert "there is no file or folder gone.png" in told(project, "tune", "cifar", "gone.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tolerance", "1%"), "add --precision"),
        (("--plot", "x.gif"), "expected a name that ends with .svg"),
        (("--budget", "soon"), "is no duration"),
        (("--clients", "200"), "200"),
    ],
)
def test_options_that_make_no_sense(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, ["tune", "cifar", *words])
    assert done.exit_code == 2
    assert said in done.output


def searched(lenet: Project, temp: Path, *words: str) -> dict[str, Any]:
    """Search for as long as this machine takes for more than what is set already."""
    said: dict[str, Any] = {"trials": []}
    for budget in ("45s", "120s", "300s"):
        done = marquee(lenet, *WORDS, "--json", "--budget", budget, *words, TEMP=str(temp))
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        if len(said["trials"]) > 1:
            break
    return said


@pytest.mark.server
def test_a_search_is_shown_plotted_and_written(lenet: Project, temp: Path) -> None:
    check_mark()
    config = lenet.handlers / "cifar" / "model-config.yaml"
    before = config.read_text()
    # A batch that waits 50 ms for clients who wait for it is worse than almost anything.
    slow = before.replace("batchSize: 32", "batchSize: 64").replace(
        "maxBatchDelay: 1 ", "maxBatchDelay: 50"
    )
    config.write_text(slow)
    picture = ROOT / "tests" / "golden" / "cifar" / "8_ship.png"
    plot = temp / "plot.svg"
    try:
        said = searched(lenet, temp, "--write", "--plot", str(plot), str(picture))
        written = config.read_text()
    finally:
        config.write_text(before)
    assert said["questions"] == [str(picture)]
    assert [level["clients"] for level in said["trials"][0]["levels"]] == [1, 4]
    assert len(said["trials"]) > 1
    best = said["trials"][said["best"]]
    assert best["relative"] > 1
    assert best["deviation"] < 0.01
    assert said["written"] == said["changes"] != {}
    assert yaml.safe_load(written)["maxBatchDelay"] == best["setting"]["delay"]
    assert "# s; TS_DEFAULT_RESPONSE_TIMEOUT" in written
    assert plot.read_text().startswith("<svg")
    plot.unlink()
    temp.rmdir()  # nothing is left in it


@pytest.mark.server
def test_files_that_the_model_refuses_are_named(lenet: Project, temp: Path) -> None:
    check_mark()
    (lenet.root / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    good = str(lenet.handlers / "cifar" / "example.png")
    done = marquee(lenet, *WORDS, good, "bad.png", TEMP=str(temp))
    assert done.returncode == 1
    assert "the model refuses 1 of 2 files: bad.png (answered with 400" in done.stderr
    temp.rmdir()


@pytest.mark.server
def test_ctrl_c_shows_what_was_measured_and_leaves_nothing(lenet: Project, temp: Path) -> None:
    check_mark()
    command = [str(BIN / "marquee"), *WORDS, "--plot", str(temp.with_suffix(".svg"))]
    with subprocess.Popen(
        command,
        cwd=lenet.root,
        env=clean_environment(TEMP=str(temp)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "times" in line:
                break
        family = psutil.Process(running.pid).children(recursive=True)
        time.sleep(1)
        os.killpg(running.pid, signal.SIGINT)
        shown, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted, after" in shown
    assert "as it was, best" in shown
    assert not [one for one in family if one.is_running()]
    assert list(temp.iterdir()) == []
    shutil.rmtree(temp)
    temp.with_suffix(".svg").unlink()
