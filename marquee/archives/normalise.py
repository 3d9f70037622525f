"""Rewrite an archive so that the same files give the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from marquee.archives.digests import file_digest, statement, stream_digest
from marquee.archives.manifest import MANIFEST
from marquee.errors import MarqueeError
from marquee.files import replacing

# 1980-01-01, the first moment a zip entry can hold.
EPOCH = 315532800


def normalise(source: Path, made: Path, target: Path, about: Mapping[str, str]) -> str:
    """Rewrite an archive with sorted entries, one time and one mode; return its sha256.

    Entries are stored, not deflated: weights hardly shrink, TorchServe unpacks faster, and the
    bytes do not depend on the version of zlib. The target appears whole or not at all.

    Args:
        source: what the archiver wrote.
        made: a folder of files that are added.
        target: the archive.
        about: for the manifest's ``marquee`` section, which gets the digests of content and golden
            answers as well.
    """
    with replacing(target) as part:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(part, "w") as new:
            entries = _Entries(old, made)
            extra = {"marquee": {**about, **entries.statement()}}
            for name in entries.names:
                _write_entry(entries, new, name, extra)
        return file_digest(part)


class _Entries:
    """The files of an archive to be: the archiver's, and a folder's."""

    def __init__(self, archive: zipfile.ZipFile, folder: Path) -> None:
        self._archive = archive
        made = (path for path in folder.rglob("*") if path.is_file())
        self._made = {path.relative_to(folder).as_posix(): path for path in made}
        packed = {name for name in archive.namelist() if not name.endswith("/")}
        self.names = sorted(packed | self._made.keys())

    def open(self, name: str) -> IO[bytes]:
        made = self._made.get(name)
        return self._archive.open(name) if made is None else made.open("rb")

    def size(self, name: str) -> int:
        made = self._made.get(name)
        return self._archive.getinfo(name).file_size if made is None else made.stat().st_size

    def statement(self) -> dict[str, str]:
        digests = {}
        for name in self.names:
            with self.open(name) as stream:
                digests[name] = stream_digest(stream)
        return statement(digests)


def _write_entry(
    entries: _Entries, archive: zipfile.ZipFile, name: str, extra: Mapping[str, Any]
) -> None:
    moment = datetime.fromtimestamp(epoch(), timezone.utc)
    entry = zipfile.ZipInfo(name, moment.timetuple()[:6])
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3  # Unix, on every system
    with entries.open(name) as reader:
        if name == MANIFEST:
            created = {"createdOn": moment.strftime("%d/%m/%Y %H:%M:%S")}
            manifest = json.load(reader) | created | extra
            archive.writestr(entry, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
            return
        entry.file_size = entries.size(name)
        with archive.open(entry, "w") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


def epoch() -> int:
    """Return the time all entries get: SOURCE_DATE_EPOCH, as reproducible builds have it."""
    value = os.environ.get("SOURCE_DATE_EPOCH", str(EPOCH))
    if not value.isdecimal():
        raise MarqueeError(f"SOURCE_DATE_EPOCH is {value!r}, expected seconds since 1970")
    return max(int(value), EPOCH)
