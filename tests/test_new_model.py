"""docs/new-model.md does what it says: its files are built and served exactly as they stand."""

import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from marquee.archives.new_room import TASKS
from marquee.project import Project
from tests.support import BIN, ROOT, clean_environment, make_project, marquee, serving

TEXT = (ROOT / "docs" / "new-model.md").read_text()
FILES = dict(re.findall(r"```\w+ file=(\S+)\n(.*?)```", TEXT, re.DOTALL))
SHORT, *COMMANDS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)


def run(project: Project, commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-ec", commands],
        cwd=project.root,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("new") / "project")
    (made.handlers / "inkwash").mkdir()  # not built nor served: the page takes its picture alone
    shutil.copy(ROOT / "handlers" / "inkwash" / "example.jpg", made.handlers / "inkwash")
    (made.root / ".venv").symlink_to(BIN.parent)
    for name, text in FILES.items():
        (made.root / name).parent.mkdir(parents=True, exist_ok=True)
        (made.root / name).write_text(text)
    done = run(made, COMMANDS[0])
    assert done.returncode == 0, done.stderr
    return made


def test_a_handler_needs_under_forty_lines() -> None:
    assert len(FILES["handlers/edges/handler.py"].splitlines()) < 40


@pytest.mark.server
def test_the_walk_through_ends_with_a_picture_of_outlines(project: Project) -> None:
    built = run(project, COMMANDS[1])
    assert built.returncode == 0, built.stderr
    assert "edges-1.0.mar" in built.stdout
    assert marquee(project, "archive").returncode == 0
    with serving(project) as running:
        command = COMMANDS[2].replace("http://127.0.0.1:8080", running.inference)
        done = run(project, command)
        assert done.returncode == 0, done.stderr
        with running.client() as client:
            refused = client.post(
                "/predictions/edges", content=b"x", headers={"X-Marquee-Gain": "0"}
            )
    assert "from 0.1 to 10" in refused.json()["message"]
    drawn = np.asarray(Image.open(project.root / "edges.png"))
    with Image.open(ROOT / "handlers" / "inkwash" / "example.jpg") as photo:
        assert drawn.shape == photo.size[::-1]
    assert 128 < drawn.mean() < 255
    assert drawn.min() < 64


def test_the_code_on_the_page_is_clean(project: Project) -> None:
    files = [str(project.root / name) for name in FILES if name.endswith(".py")]
    config = ROOT / "pyproject.toml"
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [BIN / "ruff", *words, "--config", config, *files],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_it_passes_all_checks(project: Project) -> None:
    done = run(project, COMMANDS[3])
    assert done.returncode == 0, done.stdout
    assert "16 passed, 1 skipped" in done.stdout or "17 passed" in done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose rooms are all from the templates, built."""
    found = make_project(tmp_path_factory.mktemp("made") / "project")
    (found.root / ".venv").symlink_to(BIN.parent)
    for task in TASKS:
        line = SHORT.splitlines()[0].replace("classification ", f"{task} ")
        done = run(found, line.replace("leaves", room_of(task)))
        assert done.returncode == 0, done.stderr
        assert f"handlers/{room_of(task)}/handler.py" in done.stdout
    built = marquee(found, "archive")
    assert built.returncode == 0, built.stderr
    return found


def room_of(task: str) -> str:
    return task.replace("-", "_")


@pytest.mark.server
def test_rooms_from_the_templates_answer_their_samples(made: Project) -> None:
    with serving(made) as running, running.client() as client:
        for task in TASKS:
            sample = (made.handlers / room_of(task) / "example.png").read_bytes()
            answer = client.post(f"/predictions/{room_of(task)}", content=sample)
            assert answer.status_code == 200, answer.text
            drawn = {"Accept": "image/png"}
            answer = client.post(f"/predictions/{room_of(task)}", content=sample, headers=drawn)
            if task == "classification":
                assert answer.status_code == 406
                continue
            with Image.open(io.BytesIO(answer.content)) as picture:
                assert picture.size == (128, 96)


@pytest.mark.slow
def test_the_tests_of_new_rooms_pass(made: Project) -> None:
    # As a module, which puts the project first on Python's path.
    done = run(made, f"{BIN / 'python'} -m pytest -q -p no:cacheprovider tests/handlers")
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout
