"""The manifest of a packed or unpacked archive, read without unpacking anything.

TorchServe takes zip files named ``*.mar``, ``*.tar.gz`` and ``*.tgz`` whose files lie in one folder
(it drops the first part of every name), and folders.
"""

from __future__ import annotations

import importlib.util
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from marquee.archives import configuration, safety
from marquee.archives.manifest import MANIFEST, MAX_BYTES, Manifest, one_line, parse, path_text
from marquee.errors import MarqueeError

# Where a manifest names no other.
CONFIG_NAME = "model-config.yaml"
ZIP = ".mar"
TARS = (".tar.gz", ".tgz")
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error),
    *(EOFError, RuntimeError, ValueError, OverflowError, OSError),
)


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
        raise MarqueeError(f"{path_text(path)} is no model archive: {what}") from error
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        said = f"{path_text(path)} is no model archive, or damaged ({reason})"
        raise MarqueeError(said) from error


# Of a large .tar.gz all must be read to find the manifest.
@lru_cache(maxsize=256)
def _read(path: Path, _changed: int, _size: int) -> Manifest:
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise ValueError(f"its {MANIFEST} is no file")
        return _checked(read_file(path, MANIFEST), lambda name: (path / name).is_file(), path)
    if not path.is_file():
        raise ValueError("it is neither a file nor a folder")
    if suffix_of(path) in TARS:
        return _checked(*_in_tar(path), path)
    with zipfile.ZipFile(path) as archive:
        safety.check_zip(archive, path, max_bytes=sys.maxsize)
        names = set(archive.namelist())
    if MANIFEST not in names:
        raise _without_manifest(names, path)
    return _checked(read_file(path, MANIFEST), names.__contains__, path)


def _in_tar(path: Path) -> tuple[bytes, Callable[[str], bool]]:
    """Return a manifest's bytes, and whether its archive has a file of some name, in one pass."""
    names: set[str] = set()
    text: bytes | None = None
    with safety.opened_tar(path) as (tar, members):
        for member in members:
            names.add(member.name)
            entry = tar.extractfile(member) if member.isfile() else None
            if entry is not None and safety.inside(member) == MANIFEST:
                text = entry.read(MAX_BYTES + 1)
    if text is None:
        raise _without_manifest(names, path)
    inside = {name.partition("/")[2] for name in names}
    return text, inside.__contains__


def _checked(text: bytes, has: Callable[[str], bool], path: Path) -> Manifest:
    """Return the manifest of the archive ``path`` if it and its configuration can be served."""
    manifest = parse(text, path)
    _check_handler(manifest, has, path)
    name = manifest.files.get("configFile")
    if name is not None and has(name):
        configuration.check(read_file(path, name), name, path)
    return manifest


def _check_handler(manifest: Manifest, has: Callable[[str], bool], path: Path) -> None:
    """Check that a worker will find the handler: in the archive, TorchServe or this environment."""
    handler = manifest.handler.partition(":")[0]
    file = handler if handler.endswith(".py") else f"{handler}.py"
    module = Path(file).stem
    if not (has(file) or has(Path(file).name) or _is_stock(module) or _is_installed(module)):
        raise MarqueeError(
            f"{path_text(path)}: its manifest names the handler {manifest.handler!r}, which "
            "it lacks"
        )


def _is_stock(module: str) -> bool:
    """Tell whether TorchServe has a handler of that name, such as image_classifier."""
    spec = importlib.util.find_spec("ts")
    folders = () if spec is None else spec.submodule_search_locations or ()
    return any((Path(folder) / "torch_handler" / f"{module}.py").is_file() for folder in folders)


def _is_installed(module: str) -> bool:
    try:
        # Of a dotted name the first part only: the rest would be imported.
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ValueError, ImportError):
        return False


def read_file(path: Path, name: str) -> bytes:
    """Return a text file of an archive; of one too large to be one, a byte more than that."""
    if path.is_dir():
        with (path / name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    if suffix_of(path) not in TARS:
        with zipfile.ZipFile(path) as archive, archive.open(name) as entry:
            return entry.read(MAX_BYTES + 1)
    with safety.opened_tar(path) as (tar, members):
        for member in members:
            content = tar.extractfile(member) if safety.inside(member) == name else None
            if content is not None:
                return content.read(MAX_BYTES + 1)
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


def _without_manifest(names: Iterable[str], path: Path) -> MarqueeError:
    inside = servable(names)
    hint = f"; but it holds {inside}: unpack it, and serve that" if inside else ""
    return MarqueeError(f"{path_text(path)} is no model archive: it has no {MANIFEST}{hint}")


def servable(names: Iterable[str]) -> str | None:
    """Return the first of some files that is, or belongs to, something to serve; else None."""
    for name in sorted(names):
        last = name.rpartition("/")[2]
        if last.startswith(".") or name.startswith("__MACOSX/"):
            continue
        if name.endswith((MANIFEST, ZIP, *TARS)) or last == "inference.py":
            return name
    return None
