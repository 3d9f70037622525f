"""The content digest of an archive: what is in it, whatever the zip around it looks like."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from typing import IO

MANIFEST = "MAR-INF/MANIFEST.json"


def entry_digests(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the SHA-256, in hex, of each file in an archive."""
    names = [name for name in archive.namelist() if not name.endswith("/")]
    return {name: _of(archive, name) for name in names}


def _of(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as entry:
        return stream_digest(entry)


def stream_digest(stream: IO[bytes]) -> str:
    """Return the SHA-256, in hex, of what is left in a stream."""
    total = hashlib.sha256()
    while block := stream.read(1 << 20):
        total.update(block)
    return total.hexdigest()


def content_digest(entries: Mapping[str, str]) -> str:
    """Return the SHA-256 over the names and digests of all entries but the manifest."""
    total = hashlib.sha256()
    for name, digest in sorted(entries.items()):
        if name != MANIFEST:
            total.update(f"{name}\0{digest}\0".encode())
    return total.hexdigest()
