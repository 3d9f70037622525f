"""A disk that is full: what was written before stays whole, and the command says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from marquee.project import Project
from tests.starved.scarcity import full, need_namespaces, starved
from tests.support import BIN, ROOT, clean_environment

# Kilobytes; an archive of cifar has more than a thousand.
LITTLE, ENOUGH = 300, 100_000
# A plan of a swap, then the same with the name of a longer archive when there is no room for it.
SAVE = """
import sys
from pathlib import Path
from marquee import state
from marquee.project import Project
from marquee.versions import journal

project = Project(Path(sys.argv[1]))
journal.save(project, journal.Plan("net", "1.0", "2.0", 1))
state.choose_default(project, "net", "1.0")
try:
    (project.state / "ballast").write_bytes(bytes(1 << 20))
except OSError as error:
    print(error.strerror)
for write in (
    lambda: journal.save(project, journal.Plan("net", "1.0", "3.0", 1, archive="a" * 9000)),
    lambda: state.choose_default(project, "n" * 9000, "2.0"),
):
    try:
        write()
    except OSError as error:
        print(error.strerror)
print(journal.unfinished(project, "net").new, state.chosen_defaults(project))
print(sorted(path.name for path in project.state.iterdir() if path.suffix == ".part"))
"""


def test_the_journal_and_the_defaults_stay_as_they_were(tmp_path: Path) -> None:
    need_namespaces(tmp_path)
    (tmp_path / ".marquee").mkdir()
    command = starved(full(tmp_path / ".marquee", 64))
    done = subprocess.run(
        [*command, sys.executable, "-c", SAVE, tmp_path],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    no_room = "No space left on device"
    assert done.stdout.splitlines() == [no_room] * 3 + ["2.0 {'net': '1.0'}", "[]"]


@pytest.mark.parametrize(
    ("store", "temporary"),
    [
        pytest.param(LITTLE, ENOUGH, id="the store is full"),
        pytest.param(ENOUGH, LITTLE, id="the temporary folder is full"),
    ],
)
def test_an_archive_that_finds_no_room_is_told(
    small_project: Project, tmp_path: Path, store: int, temporary: int
) -> None:
    need_namespaces(tmp_path)
    temp = tmp_path / "temp"
    temp.mkdir()
    command = starved(full(small_project.model_store, store), full(temp, temporary))
    done = subprocess.run(
        [*command, BIN / "marquee", "archive"],
        cwd=small_project.root,
        env=clean_environment(TMPDIR=str(temp)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    # The store that everybody else sees has what it had.
    assert [*small_project.model_store.glob("*.mar")]
    assert not [*small_project.model_store.glob(".*.part")]
