"""What `marquee new` makes, and which names it takes."""

import subprocess
from pathlib import Path

import pytest

from marquee.archives.new_room import TASKS, create
from marquee.cli.new import TASKS as OFFERED
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.support import BIN, ROOT, make_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("new-room") / "project")


def test_the_command_offers_every_template() -> None:
    assert OFFERED == TASKS == tuple(CURRENT)


CURRENT = [task for task in TASKS if (ROOT / "marquee" / "templates" / task).is_dir()]


@pytest.mark.parametrize("task", TASKS)
def test_a_room_is_clean_code_with_a_test(project: Project, task: str) -> None:
    name = f"a_{task.replace('-', '_')}"
    files = create(project, name, task)
    room = project.handlers / name
    assert {room / "handler.py", room / "model.py", room / "example.png"} <= {*files}
    assert room / "demo" / f"{name}.pth" in files
    code = [str(path) for path in files if path.suffix == ".py"]
    config = ROOT / "pyproject.toml"
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [BIN / "ruff", *words, "--config", config, *code],
            cwd=project.root,  # tests/ may assert
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name", ["My", "1st", "a-b", "a.b", "a/b", "..", "", "class", "ä", "a b", "a" * 200]
)
def test_what_cannot_be_a_package_is_refused(project: Project, name: str) -> None:
    before = sorted(project.handlers.iterdir())
    with pytest.raises(MarqueeError, match=r"such as my_model|characters|bytes"):
        create(project, name, "detection")
    assert sorted(project.handlers.iterdir()) == before


def test_nothing_is_written_over(project: Project) -> None:
    with pytest.raises(MarqueeError, match="runtime is there already"):
        create(project, "runtime", "detection")
    (project.root / "tests" / "handlers" / "mine").mkdir(parents=True)
    with pytest.raises(MarqueeError, match="mine is there already"):
        create(project, "mine", "detection")


def test_a_failure_leaves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "detection").mkdir()
    (tmp_path / "model-config.yaml.template").touch()
    (tmp_path / "detection" / "model.py.template").write_text("import no_such_module\n")
    monkeypatch.setattr("marquee.archives.new_room.TEMPLATES", tmp_path)
    before = sorted(project.handlers.iterdir())
    with pytest.raises(MarqueeError, match="No module named 'no_such_module'"):
        create(project, "broken", "detection")
    assert sorted(project.handlers.iterdir()) == before
