"""How two archives differ, file by file."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from marquee.archives import golden
from marquee.archives.digests import content_digest
from marquee.archives.inspection import ArchivedFile, Inspection

TEXTS = (".py", ".yaml", ".yml", ".json", ".txt", ".md", ".cfg", ".data", ".names", ".csv")
# Longer texts differ in more lines than anyone reads.
MAX_TEXT = 256 << 10


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
        weights=_compared(_weights(before), _weights(after)),
        content=_compared(_content(before), _content(after)),
        golden=_golden(before, after),
    )


def _compared(one: object, other: object) -> str:
    return "same" if one == other else "changed"


def _content(archive: Inspection) -> str:
    return content_digest({name: entry.sha256 for name, entry in archive.entries.items()})


def _golden(before: Inspection, after: Inspection) -> str:
    old, new = golden.read(before.path), golden.read(after.path)
    if old == new:
        return "same"
    answers = {(one.name, one.body): one for one in new}
    alike = len(old) == len(new) and all(_alike(one, answers) for one in old)
    return "alike" if alike else "changed"


def _alike(
    one: golden.GoldenRequest, answers: Mapping[tuple[str, bytes], golden.GoldenRequest]
) -> bool:
    other = answers.get((one.name, one.body))
    if other is None or other.headers != one.headers:
        return False
    return one.problem(other.status, other.content_type, other.expected) is None


def _weights(archive: Inspection) -> ArchivedFile | None:
    return None if archive.weights is None else archive.entries[archive.weights]


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
