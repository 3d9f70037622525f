"""Which archives a server loads when it starts, and which version of each model is the default."""

from __future__ import annotations

from pathlib import Path

from marquee import state
from marquee.archives import listing
from marquee.archives.manifest import version_order
from marquee.archives.rooms import default_version
from marquee.project import Project

ModelId = tuple[str, str]


def models(project: Project) -> list[ModelId]:
    """Return name and version of every archive that is loaded at start."""
    return [model for model, _ in archives(project)]


def archives(project: Project) -> list[tuple[ModelId, Path]]:
    """Return every archive that is loaded at start, and its path."""
    chosen = _chosen_files(project)
    return [
        (((chosen or {}).get(one.path.name) or one.manifest.name, one.manifest.version), one.path)
        for one in listing.scan(project.model_store).archives
        if chosen is None or one.path.name in chosen
    ]


def load_list(project: Project) -> str | None:
    """Return the archives to load in place of ``all``, for which TorchServe takes any folder.

    None where load_models names archives itself, or there are none.
    """
    if _chosen_files(project) is not None:
        return None
    found = listing.scan(project.model_store).archives
    return ",".join(one.path.name for one in found) or None


def _chosen_files(project: Project) -> dict[str, str] | None:
    """Return what load_models lists, file -> the name it gives or none; None for all."""
    text = project.properties.get("load_models", "all")
    if text.strip().lower() == "all":
        return None
    words = (word.strip().rpartition("=") for word in text.split(","))
    return {file: name for name, _, file in words if file}


def defaults(project: Project) -> dict[str, str]:
    """Return the version of each model that should answer when none is named.

    The operator's last choice (a swap or rollback); else the project's; for an archive without
    a room here, the highest version. TorchServe itself would take the one the folder happens to
    list first.
    """
    present: dict[str, list[str]] = {}
    for name, version in models(project):
        present.setdefault(name, []).append(version)
    kept = state.chosen_defaults(project)
    chosen = {}
    for name, found in present.items():
        wishes = (kept.get(name), default_version(project, name))
        fitting = (wish for wish in wishes if wish in found)
        chosen[name] = next(fitting, None) or max(found, key=version_order)
    return chosen
