"""What is asked: the files of a folder, a glob, a list, a prefix of S3, or a column of a table.

All are listed as they are needed: a million names are never held at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from marquee.archives.listing import is_hidden
from marquee.bulk import column, s3
from marquee.bulk.items import Item, located
from marquee.errors import MarqueeError
from marquee.sagemaker.values import split_s3

LISTS = (".txt", ".list", ".lst")
EVERYTHING = ("**", "*")
EXPECTED = (
    "expected a folder, a glob in quotes ('photos/**/*.png'), a list of files (.txt), a column of "
    "a table (photos.parquet:image) or s3://BUCKET/PREFIX"
)
Listing = Callable[[], Iterator[Item]]


def find(named: str, aside: Path) -> Listing:
    """Return what lists the inputs that a word names, each time anew.

    Hidden files and what tools leave behind are passed over, and so is a link to a folder that it
    lies in. What is found but cannot be read is an input with a ``problem``.

    Args:
        named: a folder, a glob (``**`` is any number of folders), a list with a path or address on
            each line, ``FILE.parquet:COLUMN``, or ``s3://BUCKET/PREFIX``, with or without a glob.
        aside: a folder that is passed over: that of the results.

    Raises:
        MarqueeError: it is none of these.
    """
    if s3.is_address(named):
        bucket, key = split_s3(named, "INPUT")
        return partial(_objects, bucket, key)
    path = Path(located(named))  # workers run in another folder
    if path.is_dir():
        return partial(_files, path, EVERYTHING, aside.resolve())
    if (table := column.named(named)) is not None:
        return column.listing(*table)
    if path.is_file() and path.suffix in LISTS:
        return partial(_lines, path)
    if path.exists():
        raise MarqueeError(f"{named} is a file of its own; {EXPECTED}, or ask 'marquee predict'")
    if (start := _wildcard(named)) is None:
        raise MarqueeError(f"there is no {named}; {EXPECTED}")
    folder = Path(located(named[:start]))
    return partial(_files, folder, named[start:].split("/"), aside.resolve())


def _wildcard(named: str) -> int | None:
    """Return where the first part of a path with a wildcard begins; None where there is none."""
    found = re.search(r"[^/]*[*?\[]", named)
    return found and found.start()


def _files(folder: Path, pattern: Sequence[str], aside: Path) -> Iterator[Item]:
    deep = None if "**" in pattern else len(pattern)
    for item in _walk(str(folder), (), deep, str(aside), frozenset()):
        if matches(item.name.split("/"), pattern):
            yield item


def _walk(
    folder: str, names: tuple[str, ...], deep: int | None, aside: str, above: frozenset[object]
) -> Iterator[Item]:
    """Yield the files below a folder, named from where the walk began.

    Args:
        folder: that is looked into; ``names`` lead to it.
        deep: how many folders and files a name may have; None is any number.
        aside: the folder that is passed over.
        above: what tells the folders apart that this one lies in: a link to one has no end.
    """
    status = os.stat(folder)  # noqa: PTH116 - a name that is no UTF-8 is a text here
    own = (status.st_dev, status.st_ino)
    if own in above or len(names) == deep:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            inside = (*names, entry.name)
            if is_hidden(entry.name):
                continue
            if _is_folder(entry):
                if os.path.realpath(entry.path) == aside:
                    continue
                try:
                    yield from _walk(entry.path, inside, deep, aside, above | {own})
                except OSError as error:
                    problem = f"the folder cannot be read: {error.strerror}"
                    yield Item("/".join(inside), entry.path, problem=problem)
            elif entry.is_symlink() or entry.is_file():
                yield Item("/".join(inside), entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether the parts of a path match those of a glob."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(matches(names[skipped:], pattern[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


def _objects(bucket: str, named: str) -> Iterator[Item]:
    start = _wildcard(named)
    for key in s3.keys(bucket, named[:start]):
        names = key.split("/")
        is_meant = start is None or matches(names, named.split("/"))
        if is_meant and not any(map(is_hidden, names)):
            yield Item(key, f"{s3.SCHEME}{bucket}/{key}")


def _lines(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            if name := line.rstrip("\r\n"):
                yield Item(name, located(name))
