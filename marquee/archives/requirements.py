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
from marquee.archives.requirement_lines import RequirementLine
from marquee.errors import MarqueeError

# Of an address: https://..., file:..., git+ssh://...
SCHEME = re.compile(r"(?<![\w+])(?:(git|hg|svn|bzr)\+[a-z]+|https?|ftp|file):", re.IGNORECASE)
# Where the lists of an archive, a script and a model folder are.
LISTS = ("requirements.txt", "sagemaker/code/requirements.txt", "code/requirements.txt")
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz")
EXTRAS = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True)
class RequiredPackage:
    """What a line asks for, as far as can be known without the network.

    Attributes:
        line: where that stands.
        name: of the package; None of a folder or an address that does not tell.
        specifier: of its version.
    """

    line: RequirementLine
    name: str | None
    specifier: SpecifierSet


def check(path: Path) -> None:
    """Check that everything a requirements file asks for is installed here.

    Raises:
        MarqueeError: as :func:`missing`, or something is missing; says what to run.
    """
    absent = missing(path)
    if absent:
        raise MarqueeError(
            f"{path} asks for what is not here: {'; '.join(absent.values())}. "
            f"Run: pip install {shlex.join(absent)}  (or archive with --skip-requirements)"
        )


def missing(path: Path) -> dict[str, str]:
    """Return what a requirements file asks for and is not here, each with what is wrong.

    Options (``--index-url`` and the like) are skipped, included files are read, and lines
    whose markers do not apply here are left out.

    Raises:
        MarqueeError: the file cannot be read, or a line is no requirement.
    """
    problems = ((required.line.text, _problem(required)) for required in _required(path))
    return {text: problem for text, problem in problems if problem is not None}


def check_installable(path: Path) -> None:
    """Check that pip can add what a file asks for to what is here, of which nothing is replaced.

    Raises:
        MarqueeError: the file cannot be read, or asks for another version of what is here, for
            something editable, or for a repository whose program is not here.
    """
    obstacles = [*filter(None, map(_obstacle, _required(path)))]
    if obstacles:
        raise MarqueeError(f"{path} asks for what cannot be installed here: {'; '.join(obstacles)}")


def _required(path: Path) -> Iterator[RequiredPackage]:
    """Yield what is asked for; constraints bound the versions of what else asks for."""
    read = [*filter(None, map(_parsed, requirement_lines.read(path)))]
    bounds: dict[str, SpecifierSet] = {}
    for one in read:
        if one.line.constraint and one.name is not None:
            bounds[one.name] = bounds.get(one.name, SpecifierSet()) & one.specifier
    for one in read:
        if not one.line.constraint:
            bound = bounds.get(one.name or "", SpecifierSet())
            yield RequiredPackage(one.line, one.name, one.specifier & bound)


def _parsed(line: RequirementLine) -> RequiredPackage | None:
    """Return what a line asks for, nothing where its marker does not apply here."""
    if line.address:
        return RequiredPackage(line, None, SpecifierSet())
    text, _, marker = line.text.partition("; " if SCHEME.match(line.text) else ";")
    try:
        if marker.strip() and not Marker(marker).evaluate():
            return None
        name, specifier = _named(text.strip())
    except ValueError as error:  # each of the parsers' own errors is one
        reason = str(error).splitlines()[0]
        raise MarqueeError(
            f"{line.location}: '{line.text[:100]}' cannot be checked ({reason}); expected a line "
            "such as 'name>=1.0' or 'name @ address'"
        ) from error
    return RequiredPackage(line, None if name is None else canonicalize_name(name), specifier)


def _named(text: str) -> tuple[str | None, SpecifierSet]:
    """Return the name of a package, if it can be known, and the bounds of its version."""
    address = SCHEME.match(text) is not None
    if address or _is_path(text):
        return _named_by_address(text if address else EXTRAS.sub("", text))
    requirement = Requirement(text)
    return requirement.name, requirement.specifier


def _is_path(text: str) -> bool:
    """Tell a file or folder from a name, as pip does."""
    before, at, _ = text.partition("@")  # name @ address
    if os.sep in before or text.startswith("."):
        return True
    return not at and EXTRAS.sub("", text).lower().endswith(ARCHIVES)


def _named_by_address(text: str) -> tuple[str | None, SpecifierSet]:
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


def _problem(required: RequiredPackage) -> str | None:
    """Say what is missing for a requirement, or None."""
    if required.name is None:
        if required.line.address:
            return f"'{required.line.text}' is not fetched; write that file's lines into this one"
        return f"'{required.line.text}' does not tell its package's name; write 'name @ address'"
    version = _installed(required.name)
    if version is None:
        return f"{required.name} is not installed"
    if _fits(required, version):
        return None
    return f"{required.name} is {version}, not {required.specifier}"


def _obstacle(required: RequiredPackage) -> str | None:
    """Say what keeps pip from installing a requirement, or None."""
    line = required.line
    if line.editable:
        return f"'{line.text}' is editable, and a model folder is not written to; leave out the -e"
    version = None if required.name is None else _installed(required.name)
    if version is not None and not _fits(required, version):
        return f"{required.name} {required.specifier}, and {version} is here, which is not replaced"
    scheme = SCHEME.search(line.text)
    program = scheme[1].lower() if scheme is not None and scheme[1] else None
    if version is None and program is not None and shutil.which(program) is None:
        return f"'{line.text}' needs the program {program}, which is not here"
    return None


def _fits(required: RequiredPackage, version: str) -> bool:
    try:
        return required.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _installed(name: str) -> str | None:
    """Return the version of a package; None also where its metadata have none."""
    return next((found.version for found in metadata.distributions(name=name)), None)
