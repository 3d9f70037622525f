"""Quotas of control groups, in trees as the kernel shows them."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from handlers.runtime.cores import cores, quota

V2_HOST = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_CPU = "35 25 0:31 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "36 25 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
OTHER = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"


def tree(root: Path, membership: str, mounts: str, **files: str) -> Path:
    """Write a tree; ``__`` in a file's name is a slash, ``_dot_`` a dot, below /sys/fs/cgroup."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    (root / "proc/self/mountinfo").write_text(OTHER + mounts)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v1(root: Path, where: str, share: int, period: int = 100_000) -> None:
    folder = root / "sys/fs/cgroup/cpu,cpuacct" / where
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.cfs_quota_us").write_text(f"{share}\n")
    (folder / "cpu.cfs_period_us").write_text(f"{period}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50000 100000\n", 0.5),
        ("150000 100000\n", 1.5),
        ("25000 50000\n", 0.5),
        ("max 100000\n", math.inf),
        ("", math.inf),
        ("0 0", math.inf),
        ("nonsense", math.inf),
    ],
)
def test_version_2(tmp_path: Path, text: str, expected: float) -> None:
    root = tree(tmp_path, "0::/\n", V2_HOST, cpu_dot_max=text)
    assert quota(root) == expected


def test_the_least_of_nested_groups_counts(tmp_path: Path) -> None:
    files = {
        "kubepods__cpu_dot_max": "400000 100000",
        "kubepods__pod__cpu_dot_max": "70000 100000",
        "kubepods__pod__box__cpu_dot_max": "max 100000",
        "others__cpu_dot_max": "1000 100000",
    }
    assert quota(tree(tmp_path, "0::/kubepods/pod/box\n", V2_HOST, **files)) == 0.7


@pytest.mark.parametrize(
    ("membership", "mounted", "at"),
    [
        ("/", "/", ""),  # a namespace of its own
        ("/docker/abc", "/docker/abc", ""),  # the group's own folder is mounted
        ("/docker/abc", "/", "docker/abc"),  # all is
        ("/docker/abc", "/", ""),  # the path is the host's, what is mounted is ours
        ("/../../docker/abc", "/", ""),
    ],
)
def test_version_1(tmp_path: Path, membership: str, mounted: str, at: str) -> None:
    mounts = V1_MEMORY + V1_CPU.format(root=mounted)
    root = tree(tmp_path, f"5:memory:/x\n4:cpu,cpuacct:{membership}\n", mounts)
    v1(root, at, 250_000)
    assert quota(root) == 2.5
    v1(root, at, -1)
    assert quota(root) == math.inf


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    mounts = V2_HOST.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ") + V1_CPU
    root = tree(tmp_path, "4:cpu,cpuacct:/a\n0::/b\n", mounts.format(root="/"))
    v1(root, "a", 300_000)
    assert quota(root) == 3


@pytest.mark.parametrize(
    ("share", "bound", "expected"),
    [
        ("50000 100000", 8, 1),
        ("150000 100000", 8, 2),
        ("800000 100000", 2, 2),
        ("max 100000", 3, 3),
        ("1000 100000", 1, 1),
    ],
)
def test_a_part_of_a_core_counts_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str, bound: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(bound)), raising=False)
    assert cores(tree(tmp_path, "0::/\n", V2_HOST, cpu_dot_max=share)) == expected


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert quota(tmp_path) == math.inf
    assert cores(tmp_path) >= 1
