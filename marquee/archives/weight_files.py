"""Which weight file a version of a model gets: the user's own before the demo's.

A user's file is told by what it holds and where it lies, not by the letters of its name: in
``weights/<model>/<version>/`` any weight file will do, and capitals, ``v1`` for ``1.0`` and other
endings than the usual ones make no difference.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from marquee.archives import sources
from marquee.archives.listing import is_hidden
from marquee.errors import MarqueeError
from marquee.project import Project

if TYPE_CHECKING:
    from handlers.runtime.filekind import Kind

VERSION = re.compile(r"(?:v|ver|version)?[ ._-]?(\d+(?:\.\d+)*)", re.IGNORECASE)
# Endings under which people keep weights.
SUFFIXES = {
    *(".pth", ".pt", ".ckpt", ".checkpoint", ".safetensors", ".bin", ".pkl", ".pickle", ".th"),
    *(".t7", ".pt2", ".ptl", ".torchscript", ".params", ".model", ".h5", ".hdf5", ".keras", ".pb"),
    *(".weights", ".onnx", ".tflite", ".gguf", ".msgpack", ".caffemodel"),
}


# By its path: by its name the runtime's module would bring torch along.
_load = cache(sources.load)


class NoWeights(MarqueeError):
    """There is neither a file of the user's that counts nor a demo."""


def find(project: Project, name: str, version: str, listed: dict[str, list[str]]) -> Path:
    """Return the weight file to pack.

    Args:
        project: whose.
        name, version: of the model.
        listed: the names that the files of each of its versions may have.

    Raises:
        NoWeights: there is none.
        MarqueeError: it is not clear which.
    """
    patterns, models = listed[version], model_folders(project, name)
    versions = [sub for folder in models for sub in version_folders(folder, version, listed)]
    for folders, any_name in (
        (versions, True),
        (models, len(listed) == 1),
        ([project.weights], False),
        ([project.handlers / name / "demo"], False),
    ):
        fitting = _fitting(project, folders, patterns, any_name)
        if len(fitting) > 1:
            raise MarqueeError(_several(project, name, version, fitting, patterns))
        if fitting:
            return fitting[0]
    folder = project.weights / name
    raise NoWeights(f"no weights for {name} {version}: put {' or '.join(patterns)} into {folder}")


def _fitting(
    project: Project, folders: Iterable[Path], patterns: list[str], any_name: bool
) -> list[Path]:
    """Return the files that fit best: by their name, else by their content, else their ending."""
    files = [path for folder in folders for path in visible(folder)]
    stems = [stem_of(pattern) for pattern in patterns]
    for pattern in patterns:
        if named := [path for path in files if is_like(path.name, pattern)]:
            return named
    weights = [path for path in files if kind_of(project, path).is_weights]
    for stem in stems:
        if stem.strip("*") and (named := [p for p in weights if is_like(stem_of(p.name), stem)]):
            return named
    if not any_name:
        return []
    return weights or [path for path in files if has_weight_suffix(path)]


def _several(
    project: Project, name: str, version: str, files: list[Path], patterns: list[str]
) -> str:
    plain = next((pattern for pattern in patterns if "*" not in pattern), None)
    advice = "keep one there and move the others elsewhere"
    if plain is not None and all(path.name.lower() != plain for path in files):
        advice = f"keep one, or rename one to {plain}"
    listed = ", ".join(path.name for path in files)
    folder = Path(os.path.commonpath([path.parent for path in files]))
    return f"{folder} holds several weight files for {name} {version} ({listed}); {advice}"


def model_folders(project: Project, name: str) -> list[Path]:
    """Return the folders below ``weights/`` of a model, the one of its very name first."""
    alike = [path for path in _folders(project.weights) if path.name.lower() == name.lower()]
    return sorted(alike, key=lambda path: path.name != name)


def version_folders(folder: Path, version: str, versions: Iterable[str]) -> list[Path]:
    """Return the folders in a model's folder that stand for a version: ``1.0``, ``v1``."""
    named = [path for path in _folders(folder) if version_of(path.name, versions) == version]
    return sorted(named, key=lambda path: path.name != version)


def version_of(folder: str, versions: Iterable[str]) -> str | None:
    """Return the version that a folder's name means, if it means one of these."""
    known = [*versions]
    if folder in known:
        return folder
    alike = [version for version in known if _number(version) == _number(folder)]
    return alike[0] if len(alike) == 1 and _number(folder) is not None else None


def _number(version: str) -> Version | None:
    match = VERSION.fullmatch(version)
    return None if match is None else Version(match[1])


def visible(folder: Path) -> Iterator[Path]:
    """Yield a folder's own files, without hidden ones: a Mac leaves ``._x`` beside each x."""
    if folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if not is_hidden(p.name) and p.is_file())


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not is_hidden(p.name) and p.is_dir())


def is_like(name: str, pattern: str) -> bool:
    """Tell whether a name fits a pattern with ``*``, whatever its capitals."""
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())


def stem_of(name: str) -> str:
    """Return a file's name without what endings of weight files it has: ``best.pth.tar``."""
    stem, dot, suffix = name.rpartition(".")
    if dot and stem and (f".{suffix.lower()}" in SUFFIXES | {".tar"}):
        return stem_of(stem)
    return name


def has_weight_suffix(path: Path) -> bool:
    """Tell whether a file's name claims to be weights'."""
    return stem_of(path.name) != path.name


def kind_of(project: Project, path: Path) -> Kind:
    """Return what a file is by its content; unknown where it cannot be read."""
    module = _load(project.handlers / "runtime" / "filekind.py", "_marquee_filekind")
    try:
        kind: Kind = module.kind_of(path)
    except OSError:
        kind = module.Kind(module.UNKNOWN)  # packing says why it cannot be read
    return kind
