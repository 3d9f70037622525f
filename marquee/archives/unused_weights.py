"""What lies below ``weights/`` and goes into no archive: nobody shall believe that it does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from marquee.archives import pack_hook, rooms, weight_files
from marquee.archives.rooms import ModelVersion
from marquee.errors import MarqueeError
from marquee.project import Project

# Whoever keeps a data set there is told so; names of more files than these help nobody.
MAX_FILES = 10_000
SHOWN = 20
# Beginnings that say nothing of whose weights a file outside of a model's folder holds.
COMMON = {"final", "best", "last", "latest", "model", "weights"}


@dataclass(frozen=True)
class Left:
    """A file that no archive gets.

    Attributes:
        path: of the file.
        kind: what it is, by its content.
        name, version: for whom its place or its name says it is, as far as they do.
    """

    path: Path
    kind: Any
    name: str | None
    version: str | None

    @property
    def may_be_weights(self) -> bool:
        """Whether somebody may take it for weights: by its content, or by its name."""
        return weight_files.has_weight_suffix(self.path) or not self.kind.is_beside


def check(project: Project, model: ModelVersion) -> None:
    """Refuse to pack demo weights where the user has put a file for this model.

    Raises:
        MarqueeError: names the file and where it would count.
    """
    if model.origin != "demo":
        return
    others = _chosen(project, model.name).values()
    untouched = all(other is not None and other.origin == "demo" for other in others)
    for left in _left(project):
        meant = left.version == model.version or (left.version is None and untouched)
        if left.name == model.name and meant and left.may_be_weights:
            raise MarqueeError(
                f"{model.name} {model.version} would get the demo weights although {left.path} "
                f"({left.kind.name}) is there; {_advice(project, left)}, or move it out of weights/"
            )


def warnings(project: Project) -> list[str]:
    """Return a sentence for each file below ``weights/`` that no archive gets."""
    left = [*_left(project)]
    lines = [_sentence(project, one) for one in left if one.may_be_weights]
    notes = [_relative(project, one.path) for one in left if not one.may_be_weights]
    if len(lines) > SHOWN:
        lines = [*lines[:SHOWN], f"{len(lines) - SHOWN} more files in weights/ are not packed"]
    if notes:
        more = f" and {len(notes) - SHOWN} more" if len(notes) > SHOWN else ""
        lines.append(f"no weights, and not packed: {', '.join(notes[:SHOWN])}{more}")
    if len([*islice(_files(project.weights), MAX_FILES)]) == MAX_FILES:
        lines.append(f"weights/ holds more than {MAX_FILES} files; not all were looked at")
    return lines


def _sentence(project: Project, left: Left) -> str:
    said = f"{_relative(project, left.path)} ({left.kind.name}) is not packed"
    meant = [
        (version, one)
        for version, one in (_chosen(project, left.name) if left.name else {}).items()
        if one is not None and left.version in (None, version)
    ]
    taken = [
        f"{left.name} {version} gets {_relative(project, one.weights)}"
        for version, one in meant
        if one.origin == "user"
    ]
    told = f"{said}: {', '.join(taken)}" if taken else said
    # Where the demo's are packed, it may still be wanted.
    return told if taken and len(taken) == len(meant) else f"{told}; {_advice(project, left)}"


def _advice(project: Project, left: Left) -> str:
    """Say what would make the file count."""
    if left.kind.is_known and not left.kind.is_weights:
        return str(left.kind.advice)
    if not left.kind.is_known:
        return "no room can read it: save the weights with torch.save or safetensors"
    places = _places(project, left)
    listed = " or ".join(f"{_relative(project, place)}/" for place in places)
    return (
        f"put it into {listed}"
        if listed
        else f"put it into weights/<model>/, one of {_names(project)}"
    )


def _places(project: Project, left: Left) -> list[Path]:
    """Return the folders in which any weight file counts, for whoever it is meant."""
    if left.name is None:
        return []
    versions = _listed(project, left.name)
    wanted = [left.version] if left.version else [*versions]
    own = project.weights / left.name
    return [own] if len(versions) == 1 else [own / version for version in wanted]


def _names(project: Project) -> str:
    return ", ".join(rooms.names(project))


def _relative(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()


def _left(project: Project) -> Iterator[Left]:
    told = {path for name in rooms.names(project) for path in _told(project, name)}
    for path in islice(_files(project.weights), MAX_FILES):
        if path not in told and not any(parent in told for parent in path.parents):
            kind = weight_files.kind_of(project, path)
            yield Left(path, kind, *_meant(project, path))


def _told(project: Project, name: str) -> Iterator[Path]:
    """Yield what archives get, and the folders of models whose errors tell about them."""
    for model in _chosen(project, name).values():
        yield from (model and _used(project, model)) or weight_files.model_folders(project, name)


def _used(project: Project, model: ModelVersion) -> list[Path] | None:
    """Return what a version's archive is made from, or None where it cannot be made."""
    try:
        examples = rooms.examples(project, model.name, model.version)
        return [*pack_hook.inputs(project, model), *examples]
    except MarqueeError:
        return None


def _chosen(project: Project, name: str) -> dict[str, ModelVersion | None]:
    """Return what each version of a model gets; None where that is told by an error."""
    chosen: dict[str, ModelVersion | None] = {}
    for version in _listed(project, name):
        try:
            chosen[version] = rooms.version_of(project, name, version)
        except weight_files.NoWeights:
            continue  # what lies there all the same is told here
        except MarqueeError:
            chosen[version] = None
    return chosen


def _listed(project: Project, name: str) -> dict[str, list[str]]:
    """Return what the weights of each version may be called; nothing for a broken room."""
    try:
        return rooms.weight_names(project, name)
    except MarqueeError:
        return {}


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder but hidden ones and the page that explains it."""
    seen = {folder.resolve()}
    for place, names, files in os.walk(folder, followlinks=True):
        here = Path(place)
        names[:] = sorted(name for name in names if not weight_files.is_hidden(name))
        # Links may lead in circles.
        reached = {name: (here / name).resolve() for name in names}
        names[:] = [name for name in names if reached[name] not in seen]
        seen |= set(reached.values())
        for name in sorted(files):
            explains = here == folder and name.lower().startswith("readme")
            if not explains and not weight_files.is_hidden(name):
                yield here / name


def _meant(project: Project, path: Path) -> tuple[str | None, str | None]:
    """Return the model and the version that a file is for, as far as place and name tell."""
    *folders, file = path.relative_to(project.weights).parts
    names = rooms.names(project)
    stem = weight_files.stem_of(file).lower()
    for name in names:
        if folders and folders[0].lower() == name.lower():
            return name, _version(project, name, folders[1:], stem)
    for name in names:
        version = None if folders else _by_name(project, name, stem, common=False)
        if version is not None or _speaks_of(name, [*folders, file]):
            return name, version
    return None, None


def _speaks_of(name: str, parts: list[str]) -> bool:
    """Tell whether a path has a word that begins with a model's name: ``my_cifar``, ``cifar10``."""
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}", "/".join(parts), re.IGNORECASE) is not None


def _version(project: Project, name: str, folders: list[str], stem: str) -> str | None:
    versions = _listed(project, name)
    inside = weight_files.version_of(folders[0], versions) if folders else None
    return inside or _by_name(project, name, stem, common=True)


def _by_name(project: Project, name: str, stem: str, *, common: bool) -> str | None:
    """Return the version whose weights' names the file's begins with: ``lenet_best``."""
    for version, patterns in _listed(project, name).items():
        for begin in (weight_files.stem_of(pattern).lower() for pattern in patterns):
            usable = begin.strip("*") and (common or begin not in COMMON)
            if usable and weight_files.is_like(stem, f"{begin}*"):
                return version
    return None
