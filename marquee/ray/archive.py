"""An archive on a node: fetched from the hub once, checked, and unpacked for all its workers."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ObjectStoreFullError

from marquee.archives import reader, safety
from marquee.archives.digests import file_digest
from marquee.errors import MarqueeError
from marquee.files import locked
from marquee.ray.spec import VersionSpec

FOLDER = "marquee-archives"


def folder_of(session: Path) -> Path:
    """Return where a node's archives are unpacked: they go with Ray's session."""
    folder = session / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def unpacked(spec: VersionSpec, hub: Any, folder: Path) -> Path:
    """Return the folder of a version's unpacked archive; the first worker of a node makes it.

    Raises:
        MarqueeError: the archive cannot be fetched, is another one by now, or damaged.
    """
    target = folder / spec.sha256[:32]
    with locked(target.with_suffix(".lock")):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                packed = Path(name) / spec.archive
                _fetch(spec, hub, packed)
                _unpack(packed, Path(name) / "unpacked")
                (Path(name) / "unpacked").rename(target)
    return target


def _fetch(spec: VersionSpec, hub: Any, into: Path) -> None:
    try:
        with into.open("wb") as file:
            while chunk := ray.get(hub.chunk.remote(spec.name, spec.version, file.tell())):
                file.write(chunk)
    except ObjectStoreFullError as error:
        raise MarqueeError(
            f"{spec.archive} cannot be sent to this node, since Ray's object store is full; stop "
            "what fills it (ray memory tells), or start the nodes with a larger "
            "--object-store-memory"
        ) from error
    if file_digest(into) != spec.sha256:
        raise MarqueeError(
            f"{spec.path} is another file than when it was deployed (its SHA-256 is not "
            f"{spec.sha256[:16]}…); register it again"
        )


def _unpack(packed: Path, into: Path) -> None:
    try:
        if reader.suffix_of(packed) in reader.TARS:
            safety.unpack_tar(packed, into)
            return
        with zipfile.ZipFile(packed) as archive:
            safety.check_zip(archive, packed)
            size = sum(entry.file_size for entry in archive.infolist())
            free = shutil.disk_usage(into.parent).free
            if size > free:
                raise MarqueeError(
                    f"{packed.name} unpacks to {size >> 20} MB, and {into.parent.parent} on node "
                    f"{os.uname().nodename} has {free >> 20} MB free; free some, or start Ray "
                    "there with a --temp-dir on another disk"
                )
            archive.extractall(into)
    except reader.DAMAGE as error:
        raise MarqueeError(f"{packed.name} cannot be unpacked: {error}") from error
