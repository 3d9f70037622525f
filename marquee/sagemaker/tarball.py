"""The model.tar.gz that a SageMaker endpoint unpacks to /opt/ml/model: the same bytes each time."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from marquee.archives import model_folder, rooms
from marquee.archives.build import build, epoch
from marquee.archives.digests import file_digest, stream_digest
from marquee.archives.trust import signature_of
from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.project import Project
from marquee.scratch import scratch

ALL = "all"


@dataclass(frozen=True)
class Packed:
    """A model.tar.gz, the SHA-256 of its bytes in hex, and the names inside, sorted."""

    path: Path
    sha256: str
    members: tuple[str, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size


def pack(
    project: Project, model: str, versions: Iterable[str] = (), output: Path = Path("model.tar.gz")
) -> Packed:
    """Pack a model's archives, built first where they are out of date.

    Args:
        versions: which; ``all``, or by default the one that answers when none is named: a
            container has no project to tell it which of several that is.

    Raises:
        MarqueeError: there is no such model or version, or its archive cannot be built.
    """
    archives = [build(project, version).path for version in chosen(project, model, versions)]
    signatures = [path for path in map(signature_of, archives) if path.is_file()]
    return write({path.name: path for path in [*archives, *signatures]}, output)


def chosen(project: Project, model: str, asked: Iterable[str]) -> list[rooms.ModelVersion]:
    """Return the versions of a model that are packed; see :func:`pack`.

    Raises:
        MarqueeError: there is no such version.
    """
    known = {version.version: version for version in rooms.versions(project, model)}
    wanted = tuple(asked) or (rooms.default_version(project, model) or ALL,)
    if ALL in wanted:
        return [*known.values()]
    for version in wanted:
        if version not in known:
            raise MarqueeError(
                f"{model} has no version {version!r}; it has {', '.join(known)} (or say {ALL})"
            )
    return [known[version] for version in dict.fromkeys(wanted)]


def pack_script(source: Path, output: Path, program: str | None = None) -> Packed:
    """Pack a SageMaker model folder, or the model.tar.gz of one, once it is checked.

    Raises:
        MarqueeError: it has neither a script nor a TorchScript file, or is unsafe.
    """
    with scratch() as temp:
        folder = model_folder.read(source, program, temp)[0]
        return write(model_folder.files(folder), output)


def write(files: Mapping[str, Path], output: Path) -> Packed:
    """Write the files, by their names inside; the output appears whole or not at all.

    Raises:
        MarqueeError: the folder for the output is missing, or a file changed meanwhile.
    """
    if not output.parent.is_dir():
        raise MarqueeError(f"there is no folder {output.parent} to write {output.name} to")
    with replacing(output) as part:
        with part.open("wb") as raw:
            written = _write(files, raw)
        _verify(part, written)
    return Packed(output, file_digest(output), tuple(written))


def _write(files: Mapping[str, Path], raw: IO[bytes]) -> dict[str, str]:
    """Write a tar in a gzip, and return each member's digest."""
    digests = {}
    # Stored, not deflated: weights hardly shrink, and the bytes depend on no version of zlib.
    with (
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name in sorted(files):
            digests[name] = file_digest(files[name])
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = files[name].stat().st_size, 0o644, epoch()
            with files[name].open("rb") as content:
                archive.addfile(entry, content)
    return digests


def _verify(path: Path, digests: Mapping[str, str]) -> None:
    """Read everything back: what is uploaded is paid for by the hour."""
    with tarfile.open(path) as archive:
        contents = ((member.name, archive.extractfile(member)) for member in archive)
        found = {name: stream_digest(content) for name, content in contents if content}
    changed = sorted(name for name in digests if found.get(name) != digests[name])
    if changed:
        raise MarqueeError(f"{changed[0]} changed while it was packed; try again")
