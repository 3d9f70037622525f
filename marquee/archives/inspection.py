"""Look into an archive without running any of it: what is inside, and whether it is safe."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import golden, reader, safety
from marquee.archives.digests import entry_digests, file_digest, holds
from marquee.archives.manifest import Manifest
from marquee.errors import MarqueeError


@dataclass(frozen=True)
class ArchivedFile:
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
    entries: Mapping[str, ArchivedFile]
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
        max_bytes: that it may unpack to; see :func:`marquee.archives.safety.check_zip`.

    Raises:
        MarqueeError: it is no archive, damaged, not what its manifest says, or not safe: a path
            or a link that leads out of it, bytes that hide in it, far too large.
    """
    _check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            safety.check_zip(archive, path, max_bytes)
            return _inspected(archive, path)
    except reader.DAMAGE as error:
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
    manifest = reader.checked(reader.in_zip(archive, path), path)
    for key, name in manifest.files.items():
        if name not in digests:
            raise MarqueeError(f"{path}: its manifest names the {key} {name!r}, which it lacks")
    config = manifest.files.get("configFile")
    return Inspection(
        path=path,
        sha256=file_digest(path),
        model=manifest.name,
        version=manifest.version,
        handler=manifest.handler,
        weights=manifest.files.get("serializedFile"),
        config=None if config is None else archive.read(config).decode(),
        entries={
            name: ArchivedFile(archive.getinfo(name).file_size, digests[name])
            for name in sorted(digests)
        },
        content=_checked_content(manifest, digests, path),
        golden=tuple(request.name for request in golden.read(path)),
    )


def _checked_content(manifest: Manifest, digests: Mapping[str, str], path: Path) -> str | None:
    stated = manifest.marquee.get("content")
    if stated is None:
        return None
    if not holds(manifest.marquee, digests):
        raise MarqueeError(
            f"{path} is not what its manifest says: a file in it was changed after it was made; "
            "build it again, or ask where it came from"
        )
    return str(stated)
