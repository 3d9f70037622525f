"""What the model store remembers of its archives, so that nothing is built twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from marquee.archives.digests import file_digest
from marquee.errors import MarqueeError
from marquee.files import replacing

RECORD_NAME = ".marquee.json"
# Below this a file is hashed faster than its record is looked up.
SMALL_FILE = 1 << 20


def find_archive(store: Path, named: str) -> Path:
    """Return an archive by its path, or by its name in the model store, with or without .mar.

    Raises:
        MarqueeError: there is none.
    """
    candidates = (Path(named), store / named, store / f"{named}.mar")
    for path in candidates:
        if path.exists():
            return path
    known = ", ".join(path.name for path in sorted(store.glob("[!.]*.mar"))) or "nothing"
    raise MarqueeError(f"there is no archive {named}; the model store holds {known}")


class _Known(TypedDict, total=False):
    """What is remembered of a file; its digest is that of an archive's inputs."""

    stamp: list[int]
    sha256: str
    digest: str


class StoreRecord:
    """Digests of archives and large inputs, kept as long as size and time of a file stay.

    Attributes:
        store: the folder of the archives.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self._path = store / RECORD_NAME
        self._entries = self._read()

    def _read(self) -> dict[str, _Known]:
        try:
            entries = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}  # a cache only: without it everything is built again
        return entries if isinstance(entries, dict) else {}

    def digest_of(self, path: Path) -> str:
        """Return a file's SHA-256, from the record when the file is unchanged."""
        if path.stat().st_size < SMALL_FILE:
            return file_digest(path)
        entry = self._entries.get(str(path))
        if entry is None or entry["stamp"] != _stamp(path):
            entry = {"stamp": _stamp(path), "sha256": file_digest(path)}
            self._entries[str(path)] = entry
        return entry["sha256"]

    def sha256(self, archive: Path, digest: str) -> str | None:
        """Return the archive's SHA-256 if it is there, untouched, and made from ``digest``."""
        entry = self._entries.get(archive.name)
        if entry is None or entry.get("digest") != digest or not archive.is_file():
            return None
        return entry["sha256"] if entry["stamp"] == _stamp(archive) else None

    def add(self, archive: Path, digest: str, sha256: str) -> None:
        """Remember an archive that was just written."""
        self._entries[archive.name] = _Known(stamp=_stamp(archive), digest=digest, sha256=sha256)

    def save(self) -> None:
        """Write the record, whole or not at all; not where there is nothing new in it."""
        if self._entries == self._read():
            return
        with replacing(self._path) as part:
            part.write_text(json.dumps(self._entries, indent=1, sort_keys=True))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
