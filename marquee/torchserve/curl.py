"""The curl line that shows what a model does."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from marquee.archives.rooms import default_version, examples, names, show_options, weight_names
from marquee.project import Project
from marquee.torchserve.connection import keys_of


def curl_lines(project: Project, served: Iterable[str]) -> Iterator[str]:
    """Yield a line for each served model, to paste into a shell in the project's root."""
    yield from (_curl_line(project, name) for name in sorted(served))


def _curl_line(project: Project, name: str) -> str:
    """Return the line for one model: its example in, its answer to the terminal or a file."""
    is_own = name in names(project)
    example = str(_example(project, name).relative_to(project.root)) if is_own else "FILE"
    url = f"{project.properties['inference_address']}/predictions/{name}"
    words = ["curl", "-sS", "--fail-with-body"]
    token = f' -H "Authorization: Bearer $({command(project)} token)"' if keys_of(project) else ""
    options = [*(show_options(project, name) if is_own else []), "-T", example, url]
    return " ".join(words) + token + " " + shlex.join(options)


def _example(project: Project, name: str) -> Path:
    """Return the example of the version that answers: the user's, where there is one."""
    version = default_version(project, name) or next(iter(weight_names(project, name)))
    return examples(project, name, version)[0]


def command(project: Project) -> str:
    """Return how to call the marquee that runs now, relative to the root where it is inside."""
    # Not resolved: a virtual environment's python is a link out of it.
    path = Path(os.path.abspath(sys.executable)).parent / "marquee"  # noqa: PTH100
    try:
        return shlex.quote(str(path.relative_to(project.root)))
    except ValueError:
        return shlex.quote(str(path))
