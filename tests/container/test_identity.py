"""Started as root the container makes its folders, and goes on as another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marquee.container import identity
from marquee.errors import MarqueeError

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")

# Everything is imported before: the interpreter itself may lie where only root can read.
TRAIN = """
import os, sys
from pathlib import Path
from marquee.container import identity, train
from marquee.container.job import Job
job = Job(Path(sys.argv[1]))
try:
    identity.step_down(os.environ, job.written)
    train.check_writable(job)
    (job.checkpoints / "checkpoint.pt").write_text("newer")
    train.write_failure(job, "fine")
except train.MarqueeError as error:
    sys.exit(str(error))
print(os.getresuid(), os.getresgid(), os.getgroups())
"""


@pytest.fixture
def base() -> Iterator[Path]:
    """What SageMaker mounts at /opt/ml: root's, with a checkpoint that it has put back."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "checkpoints").mkdir(mode=0o755)
    (made / "checkpoints" / "checkpoint.pt").write_text("older")
    yield made
    shutil.rmtree(made)


def start(base: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRAIN, str(base)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_root
def test_a_root_owned_folder_can_be_trained_into(base: Path) -> None:
    done = start(base, MARQUEE_RUN_AS="1001")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1001, 1001, 1001) (0, 0, 0) [0]"
    for path in ("model", "output", "output/data", "output/failure", "checkpoints/checkpoint.pt"):
        assert (base / path).stat().st_uid == 1001, path
    assert (base / "checkpoints" / "checkpoint.pt").read_text() == "newer"
    assert base.stat().st_uid == 0


@needs_root
@pytest.mark.parametrize("environ", [{}, {"MARQUEE_RUN_AS": "0"}, {"MARQUEE_RUN_AS": " "}])
def test_root_stays_root_where_nobody_is_named(base: Path, environ: dict[str, str]) -> None:
    done = start(base, **environ)
    assert done.stdout.startswith("(0, 0, 0)"), done.stderr
    assert (base / "model").stat().st_uid == 0


@needs_root
def test_links_are_not_followed(base: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (base / "model").mkdir()
    (base / "model" / "link").symlink_to(outside)
    assert start(base, MARQUEE_RUN_AS="1001").returncode == 0
    assert outside.stat().st_uid == 0


def test_without_the_right_to_change_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Root in a container without capabilities."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "getuid", lambda: 0)
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, refuse)
    identity.step_down({"MARQUEE_RUN_AS": "1001"}, [])
    assert "still root: becoming user 1001 was refused" in caplog.text


def test_somebody_else_stays_who_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    identity.step_down({"MARQUEE_RUN_AS": "1001"}, [tmp_path / "new"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["marquee", "-1", "9" * 12])
def test_what_is_no_user_id_is_refused(text: str) -> None:
    with pytest.raises(MarqueeError, match="MARQUEE_RUN_AS is .*expected a user id such as 1001"):
        identity.step_down({"MARQUEE_RUN_AS": text}, [])
