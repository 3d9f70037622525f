"""What lies below ``weights/`` and goes into no archive: nobody shall believe that it does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from marquee.archives import pack_hook, rooms, weight_files
from marquee.archives.listing import is_hidden
from marquee.archives.rooms import ModelVersion
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from handlers.runtime.filekind import Kind

# Whoever keeps a data set there is told so; names of more files than these help nobody.
MAX_FILES = 10_000
SHOWN = 20
# Beginnings that say nothing of whose weights a file outside of a model's folder holds.
COMMON = {"final", "best", "last", "latest", "model", "weights"}


@dataclass(frozen=True)
class UnusedFile:
    """A file that no archive gets.

    Attributes:
        path: of the file.
        kind: what it is, by its content.
        name, version: for whom its folder or its name says it is, as far as they do.
    """

    path: Path
    kind: Kind
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
    for unused in _unused(project):
        meant = unused.version == model.version or (unused.version is None and untouched)
        if unused.name == model.name and meant and unused.may_be_weights:
            raise MarqueeError(
                f"{model.name} {model.version} would get the demo weights although {unused.path} "
                f"({unused.kind.name}) is there; {_advice(project, unused)}, or move it out of "
                "weights/"
            )


def warnings(project: Project) -> list[str]:
    """Return a sentence for each file below ``weights/`` that no archive gets."""
    unused = [*_unused(project)]
    lines = [_sentence(project, one) for one in unused if one.may_be_weights]
    notes = [_relative(project, one.path) for one in unused if not one.may_be_weights]
    if len(lines) > SHOWN:
        lines = [*lines[:SHOWN], f"{len(lines) - SHOWN} more files in weights/ are not packed"]
    if notes:
        more = f" and {len(notes) - SHOWN} more" if len(notes) > SHOWN else ""
        lines.append(f"no weights, and not packed: {', '.join(notes[:SHOWN])}{more}")
    if len([*islice(_files(project.weights), MAX_FILES)]) == MAX_FILES:
        lines.append(f"weights/ holds more than {MAX_FILES} files; not all were looked at")
    return lines


def _sentence(project: Project, unused: UnusedFile) -> str:
    sentence = f"{_relative(project, unused.path)} ({unused.kind.name}) is not packed"
    chosen = _chosen(project, unused.name) if unused.name else {}
    meant = [one for one in chosen.values() if one and unused.version in (None, one.version)]
    users = [one for one in meant if one.origin == "user"]
    if users:
        gets = (f"{one.name} {one.version} gets {_relative(project, one.weights)}" for one in users)
        sentence = f"{sentence}: {', '.join(gets)}"
    # Where the demo's are packed, it may still be wanted.
    is_settled = users and len(users) == len(meant)
    return sentence if is_settled else f"{sentence}; {_advice(project, unused)}"


def _advice(project: Project, unused: UnusedFile) -> str:
    """Say what would make the file count."""
    if unused.kind.is_known and not unused.kind.is_weights:
        return unused.kind.advice
    if not unused.kind.is_known:
        return "no room can read it: save the weights with torch.save or safetensors"
    versions = _weight_names(project, unused.name) if unused.name else {}
    if not versions:
        return f"put it into weights/<model>/, one of {', '.join(rooms.names(project))}"
    # In these any weight file counts.
    own = f"{_relative(project, project.weights)}/{unused.name}/"
    wanted = [unused.version] if unused.version else [*versions]
    folders = [own] if len(versions) == 1 else [f"{own}{version}/" for version in wanted]
    return f"put it into {' or '.join(folders)}"


def _relative(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()


def _unused(project: Project) -> Iterator[UnusedFile]:
    known = {path for name in rooms.names(project) for path in _known(project, name)}
    for path in islice(_files(project.weights), MAX_FILES):
        if path not in known and not any(parent in known for parent in path.parents):
            kind = weight_files.kind_of(project, path)
            yield UnusedFile(path, kind, *_meant(project, path))


def _known(project: Project, name: str) -> Iterator[Path]:
    """Yield what archives get, and the folders of models that have errors of their own."""
    for version in _weight_names(project, name):
        try:
            yield from pack_hook.weights(rooms.version_of(project, name, version))
            yield from rooms.examples(project, name, version)
        except weight_files.NoWeights:
            continue  # what lies there all the same is named here
        except MarqueeError:
            yield from weight_files.model_folders(project, name)


def _chosen(project: Project, name: str) -> dict[str, ModelVersion | None]:
    """Return what each version of a model gets; None where an error of its own says why not."""
    chosen: dict[str, ModelVersion | None] = {}
    for version in _weight_names(project, name):
        try:
            chosen[version] = rooms.version_of(project, name, version)
        except weight_files.NoWeights:
            continue
        except MarqueeError:
            chosen[version] = None
    return chosen


def _weight_names(project: Project, name: str) -> dict[str, list[str]]:
    """Return what the weights of each version may be called; nothing for a broken room."""
    try:
        return rooms.weight_names(project, name)
    except MarqueeError:
        return {}


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder but hidden ones and the page that explains it."""
    seen = {folder.resolve()}
    for parent, names, files in os.walk(folder, followlinks=True):
        here = Path(parent)
        names[:] = sorted(name for name in names if not is_hidden(name))
        # Links may lead in circles.
        reached = {name: (here / name).resolve() for name in names}
        names[:] = [name for name in names if reached[name] not in seen]
        seen |= set(reached.values())
        for name in sorted(files):
            explains = here == folder and name.lower().startswith("readme")
            if not explains and not is_hidden(name):
                yield here / name


def _meant(project: Project, path: Path) -> tuple[str | None, str | None]:
    """Return the model and the version that a file is for, as far as folder and name tell."""
    *folders, file = path.relative_to(project.weights).parts
    names = rooms.names(project)
    stem = weight_files.stem_of(file).lower()
    for name in names:
        if folders and folders[0].lower() == name.lower():
            known = _weight_names(project, name)
            inside = weight_files.version_of(folders[1], known) if folders[1:] else None
            return name, inside or _by_name(project, name, stem, common=True)
    for name in names:
        version = None if folders else _by_name(project, name, stem, common=False)
        # A word that begins with a model's name: `my_cifar`, `cifar10`.
        word = re.compile(rf"(?<![a-z0-9]){re.escape(name)}", re.IGNORECASE)
        if version is not None or word.search("/".join([*folders, file])):
            return name, version
    return None, None


def _by_name(project: Project, name: str, stem: str, *, common: bool) -> str | None:
    """Return the version whose weights' names the file's begins with: ``lenet_best``."""
    for version, patterns in _weight_names(project, name).items():
        for begin in (weight_files.stem_of(pattern).lower() for pattern in patterns):
            usable = begin.strip("*") and (common or begin not in COMMON)
            if usable and weight_files.is_like(stem, f"{begin}*"):
                return version
    return None
