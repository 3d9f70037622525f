"""A module that a model misses, and the archive's own requirements.txt that asks for it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from marquee.archives import listing
from marquee.errors import MarqueeError
from marquee.project import Project

MISSING = re.compile(r"No module named '([\w.]+)'")
# Where an archive's, a script's and a model folder's lists are.
PLACES = ("requirements.txt", "sagemaker/code/requirements.txt", "code/requirements.txt")
# A list of packages is short; an archive may come from anywhere.
MAX_BYTES = 1 << 20


def hint(project: Project, name: str, version: str, cause: str) -> str:
    """Return what to add to a cause: that the archive asks for the module that is missing.

    Empty where no module is missing, or nothing that the archive asks for could bring it.
    """
    missing = MISSING.search(cause)
    found = missing and _requirements(project, name, version)
    if not missing or not found:
        return ""
    path, listed = found
    module = missing[1].partition(".")[0]
    wanted = [one for one in listed if _brings(one, module)] or [*filter(_absent, listed)]
    if not wanted:
        return ""
    return (
        f"; the archive's {path} asks for {', '.join(map(str, wanted))}, which is not installed "
        "here: install it into the environment of the server (of a container: into its image)"
    )


def _brings(requirement: Requirement, module: str) -> bool:
    return canonicalize_name(requirement.name) == canonicalize_name(module)


def _absent(requirement: Requirement) -> bool:
    """Whether a package is not installed: a module's name need not be its package's."""
    if requirement.marker is not None and not requirement.marker.evaluate():
        return False
    try:
        metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return True
    return False


def _requirements(
    project: Project, name: str, version: str
) -> tuple[str, list[Requirement]] | None:
    try:
        archives = listing.scan(project.model_store).archives
    except MarqueeError:
        return None  # the store cannot be read: told elsewhere
    for one in archives:
        if (one.manifest.name, one.manifest.version) == (name, version):
            return _listed(one.path, (one.manifest.files.get("requirementsFile"), *PLACES))
    return None


def _listed(archive: Path, places: Iterable[str | None]) -> tuple[str, list[Requirement]] | None:
    """Return the first of the files that asks for something, and for what."""
    for path in filter(None, places):
        listed = _parsed(_text(archive, path))
        if listed:
            return path, listed
    return None


def _text(archive: Path, path: str) -> str:
    """Return the file's text as far as it can be read; a hint must not raise."""
    try:
        if archive.is_dir():
            with (archive / path).open("rb") as plain:
                return _decoded(plain.read(MAX_BYTES))
        with zipfile.ZipFile(archive) as opened, opened.open(path) as file:
            return _decoded(file.read(MAX_BYTES))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile):
        return ""


def _decoded(content: bytes) -> str:
    """Decode as pip does: by the byte order mark, else UTF-8."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return content.decode(encoding, errors="replace")


def _parsed(text: str) -> list[Requirement]:
    found = []
    for line in text.splitlines():
        plain = re.sub(r"(^|\s)#.*|\s--.*|\\$", "", line).strip()
        try:
            found.append(Requirement(plain))
        except InvalidRequirement:
            continue  # an option, an address: nothing that could be compared
    return found
