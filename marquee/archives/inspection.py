"""Look into an archive without running any of it: what is inside, and whether it is safe."""

from __future__ import annotations

import importlib.util
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marquee.archives import golden, zipsafety
from marquee.archives.content import MANIFEST, entry_digests, holds
from marquee.archives.store import file_digest
from marquee.errors import MarqueeError

# Of files that are read whole: the manifest and the configuration.
MAX_TEXT = 1 << 20
NAMED_FILES = ("serializedFile", "modelFile", "configFile", "requirementsFile")


@dataclass(frozen=True)
class Entry:
    """A file inside an archive: its bytes when unpacked, and their SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Inspection:
    """What an archive is; there is one for safe archives only.

    Attributes:
        path: the archive.
        sha256: of its bytes, in hex.
        model, version, handler: from its manifest.
        weights: the name of its serialized file, if it has one.
        config: the text of its model-config.yaml, if it has one.
        entries: name -> file, sorted.
        content: the digest of its content that the manifest states and that is right, or None
            where it states none: the archive was not made by marquee, or by an early one.
        golden: the names of its golden requests.
    """

    path: Path
    sha256: str
    model: str
    version: str
    handler: str
    weights: str | None
    config: str | None
    entries: Mapping[str, Entry]
    content: str | None
    golden: tuple[str, ...]

    @property
    def unpacked_size(self) -> int:
        """The bytes of all files together."""
        return sum(entry.size for entry in self.entries.values())


def inspect(path: Path, *, max_bytes: int | None = None) -> Inspection:
    """Read an archive from end to end and check it.

    Args:
        path: a ``.mar`` file.
        max_bytes: that it may unpack to; see :func:`marquee.archives.zipsafety.check`.

    Raises:
        MarqueeError: it is no archive, damaged, not what its manifest says, or not safe: a path
            or a link that leads out of it, bytes that hide in it, far too large.
    """
    _check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            zipsafety.check(archive, path, max_bytes)
            return _inspected(archive, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as error:
        raise MarqueeError(
            f"{path} is damaged ({' '.join(str(error).split())[:200]}); copy or build it again"
        ) from error


def _check_kind(path: Path) -> None:
    if not path.exists():
        raise MarqueeError(f"there is no archive {path}")
    if path.is_dir() or not zipfile.is_zipfile(path):
        what = "a folder" if path.is_dir() else "no zip file"
        raise MarqueeError(
            f"{path} is {what}; only .mar files are looked into: build one with marquee archive, "
            "or with torch-model-archiver --archive-format default"
        )


def _inspected(archive: zipfile.ZipFile, path: Path) -> Inspection:
    digests = entry_digests(archive)
    manifest = _manifest(archive, path)
    model: dict[str, Any] = manifest["model"]
    _check_files(model, digests, path)
    config = model.get("configFile")
    return Inspection(
        path=path,
        sha256=file_digest(path),
        model=model["modelName"],
        version=model["modelVersion"],
        handler=model["handler"],
        weights=model.get("serializedFile"),
        config=None if config is None else _text(archive, config),
        entries={
            name: Entry(archive.getinfo(name).file_size, digests[name]) for name in sorted(digests)
        },
        content=_checked_content(manifest, digests, path),
        golden=tuple(request.name for request in golden.read(path)),
    )


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise MarqueeError(f"{path} is no model archive: it has no {MANIFEST}")
    try:
        manifest = json.loads(_text(archive, MANIFEST))
    except (ValueError, RecursionError) as error:
        raise MarqueeError(f"{path}: {MANIFEST} is no JSON ({error})") from error
    model = manifest.get("model") if isinstance(manifest, dict) else None
    for name in ("modelName", "modelVersion", "handler"):
        value = model.get(name) if isinstance(model, dict) else None
        if not isinstance(value, str) or not value:
            raise MarqueeError(f"{path}: {MANIFEST} has no model.{name}, which TorchServe needs")
    checked: dict[str, Any] = manifest
    return checked


def _text(archive: zipfile.ZipFile, name: str) -> str:
    size = archive.getinfo(name).file_size
    if size > MAX_TEXT:
        raise ValueError(f"{name} has {size} bytes, expected at most {MAX_TEXT}")
    return archive.read(name).decode()


def _check_files(model: Mapping[str, Any], present: Mapping[str, str], path: Path) -> None:
    for key in NAMED_FILES:
        name = model.get(key)
        if name is not None and name not in present:
            raise MarqueeError(f"{path}: its manifest names the {key} {name!r}, which it lacks")
    handler = model["handler"].partition(":")[0]
    file = handler if handler.endswith(".py") else f"{handler}.py"
    if file not in present and not _comes_with_torchserve(file):
        raise MarqueeError(f"{path}: its manifest names the handler {handler!r}, which it lacks")


def _comes_with_torchserve(file: str) -> bool:
    """Tell whether TorchServe has a handler of that name, such as image_classifier."""
    found = importlib.util.find_spec("ts")
    places = () if found is None else found.submodule_search_locations or ()
    return any((Path(place) / "torch_handler" / Path(file).name).is_file() for place in places)


def _checked_content(
    manifest: Mapping[str, Any], digests: Mapping[str, str], path: Path
) -> str | None:
    section = manifest.get("marquee")
    stated = section.get("content") if isinstance(section, dict) else None
    if section is None or stated is None:
        return None
    if not holds(section, digests):
        raise MarqueeError(
            f"{path} is not what its manifest says: a file in it was changed after it was made; "
            "build it again, or ask where it came from"
        )
    return str(stated)
