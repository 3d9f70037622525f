"""A module that a model misses, and the archive's own requirements.txt that asks for it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from marquee.archives import listing, reader, requirements
from marquee.archives.listing import Archive
from marquee.errors import MarqueeError
from marquee.project import Project

MISSING = re.compile(r"No module named '([\w.]+)'")
# Where an archive's, a script's and a model folder's lists are.
LISTS = ("requirements.txt", "sagemaker/code/requirements.txt", "code/requirements.txt")


def hint(project: Project, name: str, version: str, cause: str) -> str:
    """Return what to add to a cause: that the archive asks for what is missing here.

    Empty where no module is missing, or everything that the archive asks for is here. A module's
    name need not be its package's, so all that is not here is named.
    """
    archive = _archive(project, name, version) if MISSING.search(cause) else None
    if archive is None:
        return ""
    for path in _lists(archive):
        wanted = _absent(archive.path, path)
        if wanted:
            return (
                f"; the archive's {path} asks for {', '.join(wanted)}, which is not here: install "
                "it into the environment of the server (of a container: into its image)"
            )
    return ""


def _archive(project: Project, name: str, version: str) -> Archive | None:
    try:
        archives = listing.scan(project.model_store).archives
    except MarqueeError:
        return None  # the store cannot be read: told elsewhere
    named = (
        one for one in archives if (one.manifest.name, one.manifest.version) == (name, version)
    )
    return next(named, None)


def _lists(archive: Archive) -> list[str]:
    return [*filter(None, (archive.manifest.files.get("requirementsFile"), *LISTS))]


def _absent(archive: Path, path: str) -> list[str]:
    """Return the lines of one of the archive's files that ask for what is not here.

    None of a file that is not there or cannot be read: a hint must not be the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        try:
            listed.write_bytes(reader.read_file(archive, path))
            return [*requirements.missing(listed)]
        except (MarqueeError, KeyError, *reader.DAMAGE):
            return []
