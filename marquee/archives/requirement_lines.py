"""The lines of a ``requirements.txt``, by pip's rules: encoding, comments, options, other files.

pip has no such function for others to call, and the libraries that have are no longer kept or know
a part of the rules (UTF-16, continued lines, abbreviated options). What the lines ask for is
:mod:`marquee.archives.requirements`' part.
"""

from __future__ import annotations

import codecs
import locale
import optparse
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from urllib.request import url2pathname

from marquee.errors import MarqueeError

# A lock with hashes for five hundred packages has 300 kB.
MAX_BYTES = 4 << 20
MAX_FILES = 100
# Of all files together; each takes some ten microseconds.
MAX_LINES = 100_000

# UTF-32 first: its mark begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# As in a Python source: "# -*- coding: latin-1 -*-" in one of the first two lines.
CODING = re.compile(rb"#.*?coding[:=]\s*([-\w.]+)")
# The spaces before it are stripped with what is left: searched for, they take quadratic time.
COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
ADDRESS = re.compile(r"(?:https?|file):", re.IGNORECASE)

FLAGS = (
    *("--no-index", "--prefer-binary", "--require-hashes", "--no-require-hashes"),
    *("--pre", "--all-releases", "--only-final"),
)
VALUES = (
    ("-i", "--index-url", "--pypi-url"),
    ("-f", "--find-links"),
    ("-C", "--config-settings", "--config-setting"),
    *(("--extra-index-url",), ("--no-binary",), ("--only-binary",), ("--trusted-host",)),
    *(("--use-feature",), ("--global-option",), ("--hash",)),
)


@dataclass(frozen=True)
class RequirementLine:
    """What one line asks for.

    Attributes:
        text: the requirement, without comment and options.
        path, number: where it stands.
        editable: it was asked for with ``-e``.
        constraint: it only bounds the version, should something else ask for the package.
        address: ``text`` is the address of a further file, which only pip itself would fetch.
    """

    text: str
    path: Path
    number: int
    editable: bool = False
    constraint: bool = False
    address: bool = False

    @property
    def location(self) -> str:
        """For messages."""
        return f"{self.path}, line {self.number}"


@dataclass
class _Reading:
    """Files that were read: each counts once, however many others include it."""

    done: set[tuple[Path, bool]] = field(default_factory=set)
    open: tuple[Path, ...] = ()
    lines: int = 0


def read(path: Path) -> list[RequirementLine]:
    """Return the lines of a requirements file, and of those that it includes.

    Raises:
        MarqueeError: a file cannot be read, a line makes no sense, or a file includes itself.
    """
    return list(_file(path, False, _Reading()))


def _file(path: Path, constraint: bool, reading: _Reading) -> Iterator[RequirementLine]:
    actual = Path(os.path.realpath(path))  # resolve() raises for links that go in circles
    if actual in reading.open:
        raise MarqueeError(
            f"{reading.open[-1]} includes {path}, which is being read: a requirements file cannot "
            "include itself, directly or by others; take out one of the -r or -c lines"
        )
    if (actual, constraint) in reading.done:
        return
    reading.done.add((actual, constraint))
    if len(reading.done) > MAX_FILES:
        raise MarqueeError(f"{path} is one of more than {MAX_FILES} files that include each other")
    before, reading.open = reading.open, (*reading.open, actual)
    for number, text in _logical_lines(_content(path)):
        reading.lines += 1
        if reading.lines > MAX_LINES:
            raise MarqueeError(f"{path} asks for more than {MAX_LINES} things; shorten it")
        yield from _line(RequirementLine(text, path, number, constraint=constraint), reading)
    reading.open = before


def _content(path: Path) -> str:
    try:
        if not path.is_file():
            raise MarqueeError(f"{path} is no file; expected a requirements file of pip's")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise MarqueeError(f"{path} cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise MarqueeError(f"{path} has more than {MAX_BYTES} bytes, too many for requirements")
    try:
        text = _decoded(data)
    except (UnicodeError, LookupError) as error:
        raise MarqueeError(f"{path} is no text ({error}); save it as UTF-8") from error
    if "\0" in text:
        raise MarqueeError(
            f"{path} has bytes that are zero, as UTF-16 without a byte order mark has; "
            "save it as UTF-8"
        )
    return text


def _decoded(data: bytes) -> str:
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    for line in data.split(b"\n")[:2]:
        coding = CODING.match(line)
        if coding is not None:
            return data.decode(coding[1].decode("ascii"))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode(locale.getpreferredencoding(False))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not empty, continued ones as one."""
    for number, line in _joined(text.splitlines()):
        kept = COMMENT.sub("", line).strip()
        if kept:
            yield number, VARIABLE.sub(lambda name: os.environ.get(name[1]) or name[0], kept)


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Join what ends in a backslash with what follows; a line of comment ends that."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(lines, 1):
        first = first if parts else number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        # The space lets the comment be seen behind what it continues.
        yield first, "".join([*parts, f" {line}" if is_comment else line])
        parts = []
    if parts:
        yield first, "".join(parts)


def _line(line: RequirementLine, reading: _Reading) -> Iterator[RequirementLine]:
    """Yield what a line asks for: itself, without options, or the lines of another file."""
    words = line.text.split(" ")
    start = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    requirement = " ".join(words[:start]).strip()
    options = _options(" ".join(words[start:]), line)
    if requirement:
        yield replace(line, text=requirement)
    elif options.editables:
        yield replace(line, text=options.editables[0], editable=True)
    elif options.requirements:
        yield from _included(options.requirements[0], line, False, reading)
    elif options.constraints:
        yield from _included(options.constraints[0], line, True, reading)


def _included(
    name: str, line: RequirementLine, constraint: bool, reading: _Reading
) -> Iterator[RequirementLine]:
    """Yield the lines of a file that stands beside the one that names it, or at an address."""
    if not ADDRESS.match(name):
        yield from _file(line.path.parent / name, constraint, reading)
    elif name.lower().startswith("file:"):
        yield from _file(Path(url2pathname(urlsplit(name).path)), constraint, reading)
    else:
        yield replace(line, text=name, constraint=constraint, address=True)


class _Parser(optparse.OptionParser):
    """pip's options as optparse reads them: ``-rx``, ``-r x``, ``--requirement=x``, ``--req x``."""

    def __init__(self) -> None:
        super().__init__(add_help_option=False)
        for name in FLAGS:
            self.add_option(name, action="store_true")
        for names in VALUES:
            self.add_option(*names, action="append")
        for short, name in (("-r", "requirement"), ("-c", "constraint"), ("-e", "editable")):
            self.add_option(short, f"--{name}", dest=f"{name}s", action="append")

    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


@cache
def _parser() -> _Parser:
    """Return the parser, which takes longer to make than a line to parse."""
    return _Parser()


def _options(text: str, line: RequirementLine) -> optparse.Values:
    try:
        return _parser().parse_args(shlex.split(text))[0]
    except ValueError as error:
        raise MarqueeError(
            f"{line.location}: '{line.text[:100]}' is no line that pip reads ({error}); see pip's "
            "documentation of requirements files"
        ) from error
