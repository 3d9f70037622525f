"""Temporary folders: gone at the end, and swept where their owner was killed."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from marquee.scratch import OLD_SECONDS, scratch

HOLDER = """
import sys, time
from marquee.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(base: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process that holds a folder, and the folder, which looks old."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(base)},
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        (folder / "large").write_bytes(b"x")
        _made_old(folder)
        yield process, folder
        process.kill()


def _made_old(folder: Path) -> None:
    os.utime(folder, (0, time.time() - OLD_SECONDS - 1))


def test_it_is_private_and_gone_afterwards(base: Path) -> None:
    with scratch() as folder:
        assert folder.parent == base
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_what_a_killed_process_left_is_swept(
    holder: tuple["subprocess.Popen[str]", Path],
) -> None:
    process, folder = holder
    with scratch():
        assert (folder / "large").exists(), "its owner lives"
    process.kill()
    process.wait()
    with scratch():
        assert not folder.exists()


def test_only_old_folders_of_its_own_are_swept(base: Path) -> None:
    young, other, target = base / "marquee-scratch-young", base / "marquee-1-ab", base / "target"
    for folder in (young, other, target):
        folder.mkdir()
    _made_old(other)
    link = base / "marquee-scratch-link"
    link.symlink_to(target)
    os.utime(link, (0, 0), follow_symlinks=False)
    with scratch():
        assert all(folder.exists() for folder in (young, other, target, link))
