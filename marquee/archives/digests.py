"""Digests: of files, and of what is in an archive, whatever the zip around it looks like.

Golden answers are what a processor made of that content: their last digits differ between kinds of
processors, and with them tolerances, and sizes by which answers are kept. They have a digest of
their own, so that the same inputs give the same content digest everywhere, and yet no file of an
archive can be changed unnoticed.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from marquee.archives.manifest import MANIFEST

# The index and the answers that trial writes, and nothing that Python could import.
GOLDEN = re.compile(r"golden/(requests\.json|[0-9]+\.(bin|csv|jpg|json|npy|npz|png))")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return stream_digest(file)


def stream_digest(stream: IO[bytes]) -> str:
    """Return the SHA-256, in hex, of what is left in a stream."""
    total = hashlib.sha256()
    while block := stream.read(1 << 20):
        total.update(block)
    return total.hexdigest()


def entry_digests(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the SHA-256, in hex, of each file in an archive."""
    digests = {}
    for name in archive.namelist():
        if not name.endswith("/"):
            with archive.open(name) as entry:
                digests[name] = stream_digest(entry)
    return digests


def content_digest(entries: Mapping[str, str]) -> str:
    """Return the SHA-256 over names and digests of all but the manifest and golden answers."""
    kept = (name for name in entries if name != MANIFEST and not GOLDEN.fullmatch(name))
    return _digest(entries, kept)


def statement(entries: Mapping[str, str]) -> dict[str, str]:
    """Return what a manifest states of its archive's files: ``content`` and ``golden``."""
    answers = (name for name in entries if GOLDEN.fullmatch(name))
    return {"content": content_digest(entries), "golden": _digest(entries, answers)}


def holds(stated: Mapping[str, Any], entries: Mapping[str, str]) -> bool:
    """Tell whether an archive's files are what its manifest's ``marquee`` section states."""
    if "golden" in stated:
        return all(stated.get(name) == digest for name, digest in statement(entries).items())
    # Of an earlier version: one digest of everything.
    return stated.get("content") == _digest(entries, (n for n in entries if n != MANIFEST))


def _digest(entries: Mapping[str, str], names: Iterable[str]) -> str:
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(f"{name}\0{entries[name]}\0".encode())
    return total.hexdigest()
