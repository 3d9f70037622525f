"""Compare a requirements.txt with this environment; nothing is ever installed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from marquee.errors import MarqueeError


def check(path: Path) -> None:
    """Check that everything a requirements file asks for is installed here.

    Options (``--index-url`` and the like) are skipped, included files are read, and lines
    whose markers do not apply here are left out.

    Raises:
        MarqueeError: a line is no requirement, or something is missing or of another version;
            says what to run.
    """
    problems, wanted = [], []
    for requirement in _requirements(path):
        problem = _problem(requirement)
        if problem is not None:
            problems.append(problem)
            wanted.append(str(requirement))
    if problems:
        raise MarqueeError(
            f"{path} asks for what is not here: {'; '.join(problems)}. "
            f"Run: pip install {shlex.join(wanted)}  (or archive with --skip-requirements)"
        )


def _requirements(path: Path) -> Iterator[Requirement]:
    for number, line in enumerate(_logical_lines(path), 1):
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith(("-r ", "--requirement ")):
            yield from _requirements(path.parent / text.split(maxsplit=1)[1])
        elif not text.startswith("-"):
            yield from _one(text.split(" --")[0], path, number)


def _logical_lines(path: Path) -> list[str]:
    try:
        return path.read_text().replace("\\\n", " ").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MarqueeError(f"{path} cannot be read: {error}") from error


def _one(text: str, path: Path, number: int) -> Iterator[Requirement]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise MarqueeError(
            f"{path}, line {number}: '{text[:100]}' cannot be checked ({reason}); "
            "write 'name @ URL' for a package at an address, or archive with --skip-requirements"
        ) from error
    if requirement.marker is None or requirement.marker.evaluate():
        yield requirement


def _problem(requirement: Requirement) -> str | None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} is {version}, not {requirement.specifier}"
