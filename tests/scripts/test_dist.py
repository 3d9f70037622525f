"""What is installed elsewhere is whole: code, types, and the files that code reads."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support import BIN, ROOT

BUILD = "import sys; from setuptools import build_meta as b; print(b.build_wheel(sys.argv[1]))"


def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "marquee", "handlers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names in a wheel that is built from what git has."""
    folder = tmp_path_factory.mktemp("dist") / "marquee"
    for name in sorted({*tracked(), "LICENSE", "README.md", "pyproject.toml"}):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    done = subprocess.run(
        [BIN / "python", "-c", BUILD, folder],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(folder / done.stdout.splitlines()[-1]) as archive:
        return set(archive.namelist())


def test_the_wheel_has_all_code(wheel: set[str]) -> None:
    assert {name for name in tracked() if Path(name).suffix == ".py"} <= wheel


def test_the_wheel_has_all_files_that_marquee_reads(wheel: set[str]) -> None:
    assert {name for name in tracked() if name.startswith("marquee/")} <= wheel


def test_the_wheel_says_that_it_is_typed(wheel: set[str]) -> None:
    assert {"marquee/py.typed", "handlers/py.typed"} <= wheel


def test_the_wheel_has_no_more_than_the_packages(wheel: set[str]) -> None:
    tops = {name.partition("/")[0].partition("-")[0] for name in wheel}
    assert tops == {"marquee", "handlers"}
