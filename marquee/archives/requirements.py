"""Compare a requirements.txt with this environment; nothing is ever installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from marquee.archives import requirement_lines
from marquee.archives.requirement_lines import Line
from marquee.errors import MarqueeError

# Of an address: https://..., file:..., git+ssh://...
SCHEME = re.compile(r"(?<![\w+])(?:(git|hg|svn|bzr)\+[a-z]+|https?|ftp|file):", re.IGNORECASE)
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz")
EXTRAS = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True)
class Wanted:
    """What a line asks for, as far as can be known without the network.

    Attributes:
        line: where that stands.
        name: of the package; None of a folder or an address that does not tell.
        specifier: of its version.
    """

    line: Line
    name: str | None
    specifier: SpecifierSet


def check(path: Path) -> None:
    """Check that everything a requirements file asks for is installed here.

    Raises:
        MarqueeError: as :func:`missing`, or something is missing; says what to run.
    """
    found = missing(path)
    if found:
        raise MarqueeError(
            f"{path} asks for what is not here: {'; '.join(found.values())}. "
            f"Run: pip install {shlex.join(found)}  (or archive with --skip-requirements)"
        )


def missing(path: Path) -> dict[str, str]:
    """Return what a requirements file asks for and is not here, each with what is wrong.

    Options (``--index-url`` and the like) are skipped, included files are read, and lines
    whose markers do not apply here are left out.

    Raises:
        MarqueeError: the file cannot be read, or a line is no requirement.
    """
    problems = ((wanted.line.text, _problem(wanted)) for wanted in _wanted(path))
    return {text: problem for text, problem in problems if problem is not None}


def check_installable(path: Path) -> None:
    """Check that pip can add what a file asks for to what is here, of which nothing is replaced.

    Raises:
        MarqueeError: the file cannot be read, or asks for another version of what is here, for
            something editable, or for a repository whose program is not here.
    """
    found = map(_obstacle, _wanted(path))
    obstacles = [text for text in found if text is not None]
    if obstacles:
        raise MarqueeError(f"{path} asks for what cannot be installed here: {'; '.join(obstacles)}")


def _wanted(path: Path) -> Iterator[Wanted]:
    """Yield what is asked for; constraints bound the versions of what else asks for."""
    read = [one for line in requirement_lines.read(path) for one in _parsed(line)]
    bounds: dict[str, SpecifierSet] = {}
    for one in read:
        if one.line.constraint and one.name is not None:
            bounds[one.name] = bounds.get(one.name, SpecifierSet()) & one.specifier
    for one in read:
        if not one.line.constraint:
            bound = bounds.get(one.name or "", SpecifierSet())
            yield Wanted(one.line, one.name, one.specifier & bound)


def _parsed(line: Line) -> Iterator[Wanted]:
    """Yield what a line asks for, nothing where its marker does not apply here."""
    if line.address:
        yield Wanted(line, None, SpecifierSet())
        return
    text, _, marker = line.text.partition("; " if SCHEME.match(line.text) else ";")
    try:
        if marker.strip() and not Marker(marker).evaluate():
            return
        name, specifier = _named(text.strip())
    except ValueError as error:  # each of the parsers' own errors is one
        reason = str(error).splitlines()[0]
        raise MarqueeError(
            f"{line.place}: '{line.text[:100]}' cannot be checked ({reason}); expected a line such "
            "as 'name>=1.0' or 'name @ address'"
        ) from error
    yield Wanted(line, None if name is None else canonicalize_name(name), specifier)


def _named(text: str) -> tuple[str | None, SpecifierSet]:
    """Return the name of a package, if it can be known, and the bounds of its version."""
    address = SCHEME.match(text) is not None
    if address or _is_path(text):
        return _named_by_place(text if address else EXTRAS.sub("", text))
    requirement = Requirement(text)
    return requirement.name, requirement.specifier


def _is_path(text: str) -> bool:
    """Tell a file or folder from a name, as pip does."""
    before, at, _ = text.partition("@")
    if at and not _looks_like_path(before):
        return False  # name @ address
    return _looks_like_path(text) or EXTRAS.sub("", text).lower().endswith(ARCHIVES)


def _looks_like_path(text: str) -> bool:
    return os.sep in text or text.startswith(".")


def _named_by_place(text: str) -> tuple[str | None, SpecifierSet]:
    """Read the name of a package from the file's name, or what follows ``#egg=``."""
    parts = urlsplit(text)
    file = unquote(PurePosixPath(parts.path).name)
    if file.lower().endswith(".whl"):
        name, version, *_ = parse_wheel_filename(file)
        return name, SpecifierSet(f"=={version}")
    if egg := parse_qs(parts.fragment).get("egg"):
        requirement = Requirement(egg[0])
        return requirement.name, requirement.specifier
    try:
        name, version = parse_sdist_filename(file)
    except InvalidSdistFilename:
        return None, SpecifierSet()
    return name, SpecifierSet(f"=={version}")


def _problem(wanted: Wanted) -> str | None:
    """Say what is missing for a requirement, or None."""
    if wanted.name is None:
        if wanted.line.address:
            return f"'{wanted.line.text}' is not fetched; write that file's lines into this one"
        return f"'{wanted.line.text}' does not tell its package's name; write 'name @ address'"
    version = _installed(wanted.name)
    if version is None:
        return f"{wanted.name} is not installed"
    return None if _fits(wanted, version) else f"{wanted.name} is {version}, not {wanted.specifier}"


def _obstacle(wanted: Wanted) -> str | None:
    """Say what keeps pip from installing a requirement, or None."""
    line = wanted.line
    if line.editable:
        return f"'{line.text}' is editable, and a model folder is not written to; leave out the -e"
    version = None if wanted.name is None else _installed(wanted.name)
    if version is not None and not _fits(wanted, version):
        return f"{wanted.name} {wanted.specifier}, and {version} is here, which is not replaced"
    scheme = SCHEME.search(line.text)
    program = scheme[1].lower() if scheme is not None and scheme[1] else None
    if version is None and program is not None and shutil.which(program) is None:
        return f"'{line.text}' needs the program {program}, which is not here"
    return None


def _fits(wanted: Wanted, version: str) -> bool:
    try:
        return wanted.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _installed(name: str) -> str | None:
    """Return the version of a package; None also where its metadata have none."""
    try:
        version: str | None = metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
    return version
