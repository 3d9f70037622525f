"""The four files of a darknet model as an archive holds them.

``.cfg`` and ``.data`` are looked for beside the ``.weights``: of the same name, or the only one
there. The ``.data`` file names the ``.names`` file.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PureWindowsPath

NAME = "rotifer"
KINDS = ("weights", "cfg", "data", "names")
# As the original finds it: anywhere in a line, in any case.
NAMES_LINE = re.compile(r"^[^#;\n]*?(?:names|labels)[ \t]*=[ \t]*(.*?)[ \t\r]*$", re.I | re.M)


class PackError(ValueError):
    """One of the four files is missing, or it is not clear which one is meant."""


def inputs(weights: Path) -> list[Path]:
    """Return the ``.weights``, ``.cfg``, ``.data`` and ``.names`` file of a model.

    Raises:
        PackError: names what is missing and where it was looked for.
    """
    data = _beside(weights, "data")
    return [weights, _beside(weights, "cfg"), data, _names(weights, data)]


def _beside(weights: Path, kind: str) -> Path:
    same = weights.with_suffix(f".{kind}")
    if same.is_file():
        return same
    # A Mac leaves a twin beside each file that it packs, ._net.cfg beside net.cfg.
    candidates = sorted(p for p in weights.parent.glob(f"*.{kind}") if not p.name.startswith("."))
    if len(candidates) != 1:
        listed = ", ".join(path.name for path in candidates) or "none"
        raise PackError(
            f"{weights.parent}: expected {same.name}, or a single .{kind} file, found {listed}"
        )
    return candidates[0]


def _names(weights: Path, data: Path) -> Path:
    """Return the names file: paths in ``.data`` begin at a folder that is not known here."""
    match = NAMES_LINE.search(data.read_text("utf-8-sig", errors="replace"))
    if match is None:
        return _beside(weights, "names")
    # Read by Windows' rules: both kinds of slash part a path, and capitals make no difference.
    named = PureWindowsPath(match[1].strip("\"'"))
    inside = data.parent.joinpath(*named.parts[bool(named.anchor) :])
    for path in (data.parent / match[1], inside, *_called(named.name, data.parent)):
        if path.is_file():
            return path
    raise PackError(f"{data}: its names file {named.name} is not in {data.parent}; put it there")


def _called(name: str, folder: Path) -> list[Path]:
    """Return what a folder has of that name, the exact one first."""
    alike = (path for path in folder.iterdir() if path.name.lower() == name.lower())
    return sorted(alike, key=lambda path: path.name != name)


def pack(weights: Path, out: Path) -> Path:
    """Check that the four files make a working model, and copy them to ``out``.

    Returns:
        The ``.weights`` file in ``out``; the others have the same name beside it.

    Raises:
        ValueError: says which file is wrong, and what was expected.
    """
    from handlers.rotifer.labels import read_labels  # noqa: PLC0415 - loads torch
    from handlers.rotifer.model import load_network  # noqa: PLC0415

    files = inputs(weights)
    _, cfg, data, names = files
    read_labels(names, data, load_network(cfg, weights).classes)
    for kind, file in zip(KINDS, files, strict=True):
        shutil.copyfile(file, out / f"{NAME}.{kind}")
    return out / f"{NAME}.weights"
