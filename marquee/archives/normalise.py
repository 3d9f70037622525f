"""Rewrite an archive so that the same files give the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from marquee.archives.digests import entry_digests, file_digest, statement
from marquee.archives.manifest import MANIFEST
from marquee.errors import MarqueeError
from marquee.files import replacing

# 1980-01-01, the first moment a zip entry can hold.
EPOCH = 315532800


def normalise(source: Path, target: Path, about: Mapping[str, str]) -> str:
    """Rewrite an archive with sorted entries, one time and one mode; return its sha256.

    Entries are stored, not deflated: weights hardly shrink, TorchServe unpacks faster, and the
    bytes do not depend on the version of zlib. The target appears whole or not at all.

    Args:
        source: what the archiver wrote, with its golden requests.
        target: the archive.
        about: for the manifest's ``marquee`` section, which gets the digests of content and golden
            answers as well.
    """
    with replacing(target) as part:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(part, "w") as new:
            digests = entry_digests(old)
            extra = {"marquee": {**about, **statement(digests)}}
            for name in sorted(digests):
                _copy_entry(old, new, name, extra)
        return file_digest(part)


def _copy_entry(
    old: zipfile.ZipFile, new: zipfile.ZipFile, name: str, extra: Mapping[str, Any]
) -> None:
    moment = datetime.fromtimestamp(epoch(), timezone.utc)
    entry = zipfile.ZipInfo(name, moment.timetuple()[:6])
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3  # Unix, on every system
    with old.open(name) as reader:
        if name == MANIFEST:
            created = {"createdOn": moment.strftime("%d/%m/%Y %H:%M:%S")}
            manifest = json.load(reader) | created | extra
            new.writestr(entry, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
            return
        entry.file_size = old.getinfo(name).file_size
        with new.open(entry, "w") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


def epoch() -> int:
    """Return the time all entries get: SOURCE_DATE_EPOCH, as reproducible builds have it."""
    value = os.environ.get("SOURCE_DATE_EPOCH", str(EPOCH))
    if not value.isdecimal():
        raise MarqueeError(f"SOURCE_DATE_EPOCH is {value!r}, expected seconds since 1970")
    return max(int(value), EPOCH)
