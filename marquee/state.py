"""Small JSON files in ``.marquee/``: whole or not at all, readable by their owner alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from marquee.errors import MarqueeError
from marquee.files import locked, write_private
from marquee.project import Project

DEFAULTS = "defaults.json"


def folder(project: Project) -> Path:
    """Return the project's state folder; creates it."""
    project.state.mkdir(mode=0o700, exist_ok=True)
    return project.state


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file; after a crash it holds the old or the new value."""
    write_private(path, json.dumps(value, indent=1))


def read(path: Path) -> dict[str, Any]:
    """Return what a file holds, ``{}`` if there is none.

    Raises:
        MarqueeError: it is damaged.
    """
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise MarqueeError(f"{path} is damaged ({error}); mend or delete it") from error
    if not isinstance(value, dict):
        raise MarqueeError(f"{path} is damaged (no object); mend or delete it")
    return value


@contextmanager
def changed(path: Path) -> Iterator[dict[str, Any]]:
    """Lend what a file holds to be changed, to one at a time; kept if the block ends well.

    Raises:
        MarqueeError: it is damaged.
    """
    with locked(path.with_suffix(".lock")):
        value = read(path)
        before = deepcopy(value)
        yield value
        if value != before:
            write(path, value)


def chosen_defaults(project: Project) -> dict[str, str]:
    """Return model -> version that the operator made the default last."""
    return {name: str(version) for name, version in read(project.state / DEFAULTS).items()}


def choose_default(project: Project, name: str, version: str) -> None:
    """Remember a default version, so that it is the default after a restart as well."""
    with changed(folder(project) / DEFAULTS) as defaults:
        defaults[name] = version
