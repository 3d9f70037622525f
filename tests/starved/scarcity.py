"""Folders that are full or read-only, and few files to open: for one command and what it starts.

By Linux' namespaces: nothing of the machine is changed, and no rights are needed where users may
make them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def need_namespaces(folder: Path) -> None:
    """Skip the test, loudly, where a file system cannot be mounted."""
    probe = folder / "probe"
    probe.mkdir()
    words = [*NAMESPACE, "mount", "-t", "tmpfs", "none", str(probe)]
    done = shutil.which("unshare") and subprocess.run(words, capture_output=True, check=False)
    if not done or done.returncode:
        pytest.skip("NOT TESTED, a full disk: this user may mount nothing in a namespace")


def full(folder: Path, kilobytes: int) -> str:
    """Return a shell's command that puts a disk of that size in place of a folder."""
    return f"mount -t tmpfs -o size={kilobytes}k none '{folder}'"


def read_only(folder: Path) -> str:
    """Return a shell's command after which a folder can be read and not written."""
    return f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'"


def starved(*shortages: str) -> tuple[str, ...]:
    """Return what stands before the words of a command, so that it runs with these shortages."""
    return (*NAMESPACE, "sh", "-c", " && ".join([*shortages, 'exec "$0" "$@"']))
