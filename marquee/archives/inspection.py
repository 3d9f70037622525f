"""Look into archives without running any of them: what is inside, is it safe, how do two differ."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import golden, reader, safety
from marquee.archives.digests import content_digest, entry_digests, file_digest, holds
from marquee.archives.manifest import Manifest, one_line
from marquee.errors import MarqueeError

TEXTS = (".py", ".yaml", ".yml", ".json", ".txt", ".md", ".cfg", ".data", ".names", ".csv")
# Longer texts differ in more lines than anyone reads.
MAX_TEXT = 256 << 10


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


def inspect(path: Path) -> Inspection:
    """Read a ``.mar`` file from end to end and check it.

    Raises:
        MarqueeError: it is no archive, damaged, not what its manifest says, or not safe: a path
            or a link that leads out of it, bytes that hide in it, far too large.
    """
    _check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            safety.check_zip(archive, path)
            return _inspected(archive, path)
    except reader.DAMAGE as error:
        said = f"{path} is damaged ({one_line(error)}); copy or build it again"
        raise MarqueeError(said) from error


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
    manifest = reader.read(path)
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


@dataclass(frozen=True)
class FileChange:
    """One file that is in one archive only, or differs.

    Attributes:
        name: in the archive.
        before, after: the file, or None where it is absent.
        text: a unified diff, of text files that are in both.
    """

    name: str
    before: ArchivedFile | None
    after: ArchivedFile | None
    text: str | None = None

    @property
    def verb(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@dataclass(frozen=True)
class ArchiveDiff:
    """All changes by name, and what they come to.

    Attributes:
        changes: the files that are in one archive only, or differ.
        weights, content: ``same`` or ``changed``; the content is all but the manifest and the
            golden answers, which another processor rounds differently.
        golden: ``same``, ``alike`` where each answer is within the first archive's tolerance of
            the other's, or ``changed``.
    """

    changes: tuple[FileChange, ...]
    weights: str
    content: str
    golden: str


def diff(before: Inspection, after: Inspection) -> ArchiveDiff:
    """Compare two inspected archives."""
    names = sorted(before.entries.keys() | after.entries.keys())
    with zipfile.ZipFile(before.path) as old, zipfile.ZipFile(after.path) as new:
        changes = [
            _change(name, (before, old), (after, new))
            for name in names
            if before.entries.get(name) != after.entries.get(name)
        ]
    return ArchiveDiff(
        tuple(changes),
        _compared(_weights, before, after),
        _compared(_content, before, after),
        _golden(before, after),
    )


def _compared(part: Callable[[Inspection], object], before: Inspection, after: Inspection) -> str:
    return "same" if part(before) == part(after) else "changed"


def _weights(archive: Inspection) -> ArchivedFile | None:
    return archive.entries.get(archive.weights or "")


def _content(archive: Inspection) -> str:
    return content_digest({name: entry.sha256 for name, entry in archive.entries.items()})


def _golden(before: Inspection, after: Inspection) -> str:
    old, new = golden.read(before.path), golden.read(after.path)
    if old == new:
        return "same"
    alike = len(old) == len(new) and all(any(_alike(a, b) for b in new) for a in old)
    return "alike" if alike else "changed"


def _alike(one: golden.GoldenRequest, other: golden.GoldenRequest) -> bool:
    if (one.name, one.body, one.headers) != (other.name, other.body, other.headers):
        return False
    return one.problem(other.status, other.content_type, other.expected) is None


def _change(
    name: str,
    before: tuple[Inspection, zipfile.ZipFile],
    after: tuple[Inspection, zipfile.ZipFile],
) -> FileChange:
    old, new = before[0].entries.get(name), after[0].entries.get(name)
    left = _lines(before[1], name) if old and new else None
    right = _lines(after[1], name) if left is not None else None
    if left is None or right is None:
        return FileChange(name, old, new)
    labels = (f"{before[0].path.name}/{name}", f"{after[0].path.name}/{name}")
    return FileChange(name, old, new, "".join(difflib.unified_diff(left, right, *labels)))


def _lines(archive: zipfile.ZipFile, name: str) -> list[str] | None:
    """Return a file's lines, or None where it is no text, too long, or an answer's numbers."""
    is_answer = name.startswith(f"{golden.FOLDER}/") and name != golden.INDEX
    if is_answer or not name.endswith(TEXTS) or archive.getinfo(name).file_size > MAX_TEXT:
        return None
    try:
        text = archive.read(name).decode()
    except UnicodeDecodeError:
        return None
    return [line + "\n" for line in text.splitlines()]
