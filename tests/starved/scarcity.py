"""Little of this and that, for one command and what it starts: disk, files, names, memory.

By Linux' namespaces, for which no rights are needed where users may make them, and control groups:
nothing of the machine is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


def instead(path: str, by: Path) -> str:
    """Return a shell's command that puts a file in the place of another."""
    return f"mount --bind '{by}' '{path}'"


@dataclass(frozen=True)
class Memory:
    """A control group of ours, which bounds what its processes take together.

    Attributes:
        folder: its files.
        most, taken, story: their names for the limit, what is in use, and what the kernel ended.
    """

    folder: Path
    most: str
    taken: str
    story: str

    @property
    def command(self) -> tuple[str, ...]:
        """What stands before the words of a command, so that it runs in the group."""
        script = f'echo $$ > \'{self.folder}/cgroup.procs\' && exec "$0" "$@"'
        return ("sh", "-c", script)

    def leave(self, megabytes: int) -> None:
        """Bound it to so much more than it takes now."""
        taken = int((self.folder / self.taken).read_text())
        (self.folder / self.most).write_text(str(taken + (megabytes << 20)))

    @property
    def killed(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        lines = (self.folder / self.story).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
V2 = ("memory.max", "memory.current", "memory.events")


@contextmanager
def little_memory() -> Iterator[Memory]:
    """Make a control group, and remove it; skip the test, loudly, where none can be made."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            root, names = Path("/sys/fs/cgroup"), V2
            if kinds:
                root, names = root / "memory", V1
            group = Memory(root / path.lstrip("/") / f"marquee-{os.getpid()}", *names)
            if _made(group):
                try:
                    yield group
                finally:
                    group.folder.rmdir()
                return
    pytest.skip("NOT TESTED, a memory limit: this user may make no control group for memory")


def _made(group: Memory) -> bool:
    """Whether the group is there, with what bounds memory; where it is not, nothing is left."""
    try:
        group.folder.mkdir()
    except OSError:
        return False
    limit = group.folder / group.most
    if limit.exists() and os.access(limit, os.W_OK):
        return True
    group.folder.rmdir()
    return False
