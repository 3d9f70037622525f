"""Whether an archive may be unpacked: nothing leads out of it, hides in it, or fills the disk.

Python and TorchServe read zips from two ends: one by the directory at the end, the other file by
file from the start. What only one of them would see is refused. The files of a ``.tar.gz`` lie in
one folder: TorchServe drops the first part of every name.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from marquee.errors import MarqueeError

MAX_VARIABLE = "MARQUEE_MAX_ARCHIVE_BYTES"
# Seven times timetravel's published weights, the largest of our own.
MAX_BYTES = 16 << 30
MAX_ENTRIES = 100_000
# Text shrinks to a tenth, weights hardly: a large file packed this tightly is made of nothing.
BOMB_RATIO = 100
BOMB_BYTES = 64 << 20
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED, DESCRIPTOR = 1, 8
LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR_BYTES = 24
ZIP64 = 0xFFFFFFFF
# Read of a tar in one piece: tarfile would read a header whole that claims gigabytes.
MAX_AT_ONCE = 2 << 20


def check_zip(archive: zipfile.ZipFile, path: Path, max_bytes: int | None = None) -> None:
    """Check everything that can be known without unpacking.

    Args:
        archive: opened for reading.
        path: of its file.
        max_bytes: that all files together may have; else ``MARQUEE_MAX_ARCHIVE_BYTES`` of the
            environment says, else 16 GiB.

    Raises:
        MarqueeError: names the file inside that is not safe, and why.
    """
    entries = archive.infolist()
    _check_sizes(entries, path, max_allowed() if max_bytes is None else max_bytes)
    for entry in entries:
        refusal = _refusal(entry)
        if refusal is not None:
            raise MarqueeError(f"{path} is not safe: {entry.orig_filename[:100]!r} {refusal}")
    _check_unique(entries, path)
    _check_gapless(archive, entries, path)


def max_allowed() -> int:
    """Return the bytes that an archive may unpack to.

    Raises:
        MarqueeError: the environment does not say a number.
    """
    value = os.environ.get(MAX_VARIABLE, str(MAX_BYTES))
    if not value.isdecimal():
        raise MarqueeError(f"{MAX_VARIABLE} is {value!r}, expected a number of bytes")
    return int(value)


def _check_sizes(entries: Sequence[zipfile.ZipInfo], path: Path, limit: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES:
        raise MarqueeError(f"{path} holds {len(entries)} files, expected at most {MAX_ENTRIES}")
    if total > limit:
        raise MarqueeError(
            f"{path} unpacks to {total} bytes, expected at most {limit}; if it is to be so large, "
            f"set {MAX_VARIABLE}"
        )


def _refusal(entry: zipfile.ZipInfo) -> str | None:
    """Return why one file must not be unpacked."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    name = entry.orig_filename
    reasons = {
        "is an absolute path": name.startswith(("/", "\\")) or name[1:2] == ":",
        "leads out of the archive": ".." in name.replace("\\", "/").split("/"),
        "has a name that systems read differently": name != entry.filename or "\\" in name,
        "has a name that is no text": not name.isprintable(),
        "is a link": kind == stat.S_IFLNK,
        "is neither a file nor a folder": kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK),
        "is encrypted": bool(entry.flag_bits & ENCRYPTED),
        "is packed in a way that TorchServe does not read": entry.compress_type not in PACKINGS,
        f"unpacks to more than {BOMB_RATIO} times its size": _is_bomb(entry),
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _is_bomb(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size > max(BOMB_BYTES, BOMB_RATIO * entry.compress_size)


def _check_unique(entries: Sequence[zipfile.ZipInfo], path: Path) -> None:
    files = [str(PurePosixPath(e.filename)) for e in entries if not e.filename.endswith("/")]
    seen: set[str] = set()
    for name in files:
        if name in seen:
            raise MarqueeError(f"{path} is not safe: it holds {name[:100]!r} twice")
        seen.add(name)
    folders = {str(folder) for name in seen for folder in PurePosixPath(name).parents}
    for name in sorted(seen & folders):
        raise MarqueeError(f"{path} is not safe: {name[:100]!r} is a file and a folder in it")


def _check_gapless(
    archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], path: Path
) -> None:
    """Refuse bytes between the files that the directory lists: TorchServe would unpack them."""
    end = 0
    with path.open("rb") as file:
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            slack = entry.header_offset - end
            file.seek(entry.header_offset)
            header = file.read(LOCAL.size)
            if not 0 <= slack <= _slack(end, entries) or len(header) < LOCAL.size:
                raise MarqueeError(f"{path} is not safe: {_hiding(entry.filename)}")
            _, _, flags, _, _, _, _, packed, _, name, extra = LOCAL.unpack(header)
            if not flags & DESCRIPTOR and packed not in (entry.compress_size, ZIP64):
                raise MarqueeError(f"{path} is not safe: {_hiding(entry.filename)}")
            end = entry.header_offset + LOCAL.size + name + extra + entry.compress_size
    if not 0 <= archive.start_dir - end <= _slack(end, entries):
        raise MarqueeError(f"{path} is not safe: {_hiding('the directory')}")


def _slack(end: int, entries: Sequence[zipfile.ZipInfo]) -> int:
    """Return the bytes that may follow a file: its sizes, where its writer did not know them."""
    streamed = end > 0 and any(entry.flag_bits & DESCRIPTOR for entry in entries)
    return DESCRIPTOR_BYTES if streamed else 0


def _hiding(before: str) -> str:
    return f"there are bytes before {before[:100]!r} that its directory does not list"


class _Stream(gzip.GzipFile):
    """A tar's bytes, none of whose headers may be huge."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_AT_ONCE:
            raise tarfile.ReadError(f"one of its headers claims {size} bytes")
        return super().read(size)


def tar_stream(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open a tar, packed or not, whose headers are not believed."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return _Stream(path) if is_packed else path.open("rb")


@contextmanager
def opened_tar(path: Path) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Open a ``.tar.gz``, and lend its members as they are read."""
    with _Stream(path) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        yield tar, _safe(tar, path)


def inside(member: tarfile.TarInfo) -> str:
    """Return a member's name without the folder around everything."""
    return member.name.partition("/")[2]


def _safe(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield a tar's members, as long as they may be unpacked: TorchServe will."""
    most = min(max_allowed(), max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size))
    size = 0
    for number, member in enumerate(archive, 1):
        size += member.size
        if number > MAX_ENTRIES or member.size < 0 or size > most:
            raise ValueError(f"it unpacks to more than {most} bytes or {MAX_ENTRIES} files")
        if member.name.startswith("/") or ".." in member.name.split("/"):
            raise ValueError(f"it is not safe: {member.name[:100]!r} leads out of it")
        if not (member.isfile() or member.isdir()):
            raise ValueError(f"it is not safe: {member.name[:100]!r} is a link or a device")
        yield member


def unpack_tar(path: Path, target: Path) -> None:
    """Unpack a ``.tar.gz`` as TorchServe does, without the folder around everything."""
    with opened_tar(path) as (tar, members):
        for member in members:
            if name := inside(member):
                tar.extract(member.replace(name=name, deep=False), target, filter="data")
