"""The manifest of a packed or unpacked archive, read without unpacking anything.

TorchServe takes zip files named ``*.mar``, ``*.tar.gz`` and ``*.tgz`` whose files lie in one folder
(it drops the first part of every name), and folders.
"""

from __future__ import annotations

import gzip
import importlib.util
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from marquee.archives import configuration, zipsafety
from marquee.archives.digests import MANIFEST
from marquee.archives.manifest import MAX_BYTES, Manifest, parse, told
from marquee.errors import MarqueeError

# Where a manifest names no other.
CONFIG_NAME = "model-config.yaml"
ZIP = ".mar"
TARS = (".tar.gz", ".tgz")
# Read of a tar in one piece: tarfile would read a header whole that claims gigabytes.
MAX_AT_ONCE = 2 << 20
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
)

# The manifest's bytes, and whether the archive has a file of some name.
Opened = tuple[bytes, Callable[[str], bool]]


def suffix_of(path: Path) -> str:
    """Return ``.mar``, ``.tar.gz``, ``.tgz``, or nothing for what has no such name."""
    return next((suffix for suffix in (ZIP, *TARS) if path.name.endswith(suffix)), "")


def read(path: Path) -> Manifest:
    """Return the manifest of an archive: a ``.mar`` file, a ``.tar.gz``, or a folder.

    Raises:
        MarqueeError: it is no archive, damaged or unsafe, or its manifest cannot be served.
    """
    try:
        status = (path / MANIFEST if path.is_dir() else path).stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except FileNotFoundError as error:
        what = f"it has no {MANIFEST}" if path.is_dir() else "there is no such file"
        raise MarqueeError(f"{told(path)} is no model archive: {what}") from error
    except DAMAGE as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise MarqueeError(f"{told(path)} is no model archive, or damaged ({reason})") from error


# Of a large .tar.gz all must be read to find the manifest.
@lru_cache(maxsize=256)
def _read(path: Path, _changed: int, _size: int) -> Manifest:
    if path.is_dir():
        text, has = _of_folder(path)
    elif not path.is_file():
        raise ValueError("it is neither a file nor a folder")
    else:
        text, has = _of_tar(path) if suffix_of(path) in TARS else _of_zip(path)
    manifest = parse(text, path)
    check_handler(manifest, has, path)
    name = manifest.files.get("configFile")
    if name is not None and has(name):
        configuration.check(read_file(path, name), name, path)
    return manifest


def read_file(path: Path, name: str) -> bytes:
    """Return a text file of an archive; of one too large to be one, a byte more than that."""
    if path.is_dir():
        with (path / name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    if suffix_of(path) not in TARS:
        with zipfile.ZipFile(path) as archive, archive.open(name) as entry:
            return entry.read(MAX_BYTES + 1)
    with _Stream(path) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in _safe(tar, path):
            found = tar.extractfile(member) if member.name.partition("/")[2] == name else None
            if found is not None:
                return found.read(MAX_BYTES + 1)
    raise FileNotFoundError(2, f"it has no {name}", str(path))


def config(path: Path) -> dict[str, Any]:
    """Return what an archive's model-config.yaml says; nothing where it has none.

    Raises:
        MarqueeError: it is no archive, or has one that TorchServe cannot read.
    """
    name = read(path).files.get("configFile", CONFIG_NAME)
    try:
        text = read_file(path, name)
    except (KeyError, OSError):
        return {}  # TorchServe goes without it as well
    return configuration.read(text, name, path)


def check_handler(manifest: Manifest, has: Callable[[str], bool], path: Path) -> None:
    """Check that a worker will find the handler: in the archive, TorchServe or this environment.

    Raises:
        MarqueeError: it will not.
    """
    handler = manifest.handler.partition(":")[0]
    file = handler if handler.endswith(".py") else f"{handler}.py"
    module = Path(file).stem
    if not (has(file) or has(Path(file).name) or _is_stock(module) or _is_installed(module)):
        raise MarqueeError(
            f"{told(path)}: its manifest names the handler {manifest.handler!r}, which it lacks"
        )


def _is_stock(module: str) -> bool:
    """Tell whether TorchServe has a handler of that name, such as image_classifier."""
    found = importlib.util.find_spec("ts")
    places = () if found is None else found.submodule_search_locations or ()
    return any((Path(place) / "torch_handler" / f"{module}.py").is_file() for place in places)


def _is_installed(module: str) -> bool:
    try:
        # Of a dotted name the first part only: the rest would be imported.
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ValueError, ImportError):
        return False


def _of_folder(path: Path) -> Opened:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise ValueError(f"its {MANIFEST} is no file")
    with manifest.open("rb") as file:
        return file.read(MAX_BYTES + 1), lambda name: (path / name).is_file()


def _of_zip(path: Path) -> Opened:
    with zipfile.ZipFile(path) as archive:
        zipsafety.check(archive, path, max_bytes=sys.maxsize)
        names = set(archive.namelist())
        if MANIFEST not in names:
            raise ValueError(_without_manifest(names))
        with archive.open(MANIFEST) as entry:
            return entry.read(MAX_BYTES + 1), names.__contains__


class _Stream(gzip.GzipFile):
    """A tar's bytes, none of whose headers may be huge."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_AT_ONCE:
            raise tarfile.ReadError(f"one of its headers claims {size} bytes")
        return super().read(size)


def _of_tar(path: Path) -> Opened:
    names: set[str] = set()
    text: bytes | None = None
    with _Stream(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in _safe(archive, path):
            names.add(member.name)
            entry = archive.extractfile(member) if member.isfile() else None
            if entry is not None and member.name.partition("/")[2] == MANIFEST:
                text = entry.read(MAX_BYTES + 1)
    if text is None:
        raise ValueError(_without_manifest(names))
    inside = {name.partition("/")[2] for name in names}
    return text, inside.__contains__


def unpack_tar(path: Path, target: Path) -> None:
    """Unpack a ``.tar.gz`` as TorchServe does, without the folder around everything."""
    with _Stream(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in _safe(archive, path):
            name = member.name.partition("/")[2]
            if name:
                archive.extract(member.replace(name=name, deep=False), target, filter="data")


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


def _without_manifest(names: Iterable[str]) -> str:
    inside = servable(names)
    hint = f"; but it holds {inside}: unpack it, and serve that" if inside else ""
    return f"it has no {MANIFEST}{hint}"


def servable(names: Iterable[str]) -> str | None:
    """Return the first of some files that is, or belongs to, something to serve; else None."""
    for name in sorted(names):
        last = name.rpartition("/")[2]
        if last.startswith(".") or name.startswith("__MACOSX/"):
            continue
        if name.endswith((MANIFEST, ZIP, *TARS)) or last == "inference.py":
            return name
    return None
