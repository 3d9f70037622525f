"""A ``.tar.gz`` archive, read and unpacked as TorchServe does it, as long as that is safe.

Its files lie in one folder: TorchServe drops the first part of every name.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marquee.archives import zipsafety

# Read in one piece: tarfile would read a header whole that claims gigabytes.
MAX_AT_ONCE = 2 << 20


class _Stream(gzip.GzipFile):
    """A tar's bytes, none of whose headers may be huge."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_AT_ONCE:
            raise tarfile.ReadError(f"one of its headers claims {size} bytes")
        return super().read(size)


@contextmanager
def opened(path: Path) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Open a ``.tar.gz``, and lend its members as they are read."""
    with _Stream(path) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        yield tar, _safe(tar, path)


def inside(member: tarfile.TarInfo) -> str:
    """Return a member's name without the folder around everything."""
    return member.name.partition("/")[2]


def _safe(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield a tar's members, as long as they may be unpacked: TorchServe will."""
    most = min(
        zipsafety.max_allowed(),
        max(zipsafety.BOMB_BYTES, zipsafety.BOMB_RATIO * path.stat().st_size),
    )
    size = 0
    for number, member in enumerate(archive, 1):
        size += member.size
        if number > zipsafety.MAX_ENTRIES or member.size < 0 or size > most:
            raise ValueError(
                f"it unpacks to more than {most} bytes or {zipsafety.MAX_ENTRIES} files"
            )
        if member.name.startswith("/") or ".." in member.name.split("/"):
            raise ValueError(f"it is not safe: {member.name[:100]!r} leads out of it")
        if not (member.isfile() or member.isdir()):
            raise ValueError(f"it is not safe: {member.name[:100]!r} is a link or a device")
        yield member


def unpack(path: Path, target: Path) -> None:
    """Unpack a ``.tar.gz`` as TorchServe does, without the folder around everything."""
    with opened(path) as (tar, members):
        for member in members:
            if name := inside(member):
                tar.extract(member.replace(name=name, deep=False), target, filter="data")
