"""A room's own step from the user's weight files to what its archive holds: ``pack.py``.

A room without ``pack.py`` has its weight file packed as it is. Otherwise
``inputs(weights) -> [Path, ...]`` names every file that is read, and ``pack(weights, out) ->
Path`` writes the archive's files into the folder ``out`` and returns the one that becomes the
archive's serialized file.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import cast

from marquee import processes
from marquee.archives import sources
from marquee.archives.rooms import ModelVersion
from marquee.errors import MarqueeError
from marquee.project import Project

HOOK = "pack.py"


def inputs(project: Project, model: ModelVersion) -> list[Path]:
    """Return every file that packing depends on: weights and their companions, and the code.

    Raises:
        MarqueeError: a companion of the weight file is missing or unreadable.
    """
    hook, files = model.room / HOOK, weights(model)
    if not hook.is_file():
        return files
    return [*files, hook, *sources.needed(project.root, hook).values()]


def weights(model: ModelVersion) -> list[Path]:
    """Return the weight files that packing reads: the model's, and its companions.

    Raises:
        MarqueeError: a companion of the weight file is missing or unreadable.
    """
    hook = model.room / HOOK
    if not hook.is_file():
        return [model.weights]
    try:
        return cast(list[Path], sources.load(hook, f"_pack_{model.name}").inputs(model.weights))
    except (ValueError, OSError) as error:
        raise MarqueeError(f"{model.name} {model.version} cannot be packed: {error}") from error


def pack(project: Project, model: ModelVersion, out: Path) -> Path:
    """Fill ``out`` with the archive's files and return the serialized one.

    Runs in a process of its own, which imports the project's rooms and may take much memory.

    Raises:
        MarqueeError: what the room says is wrong with its files.
    """
    if not (model.room / HOOK).is_file():
        return model.weights
    module = f"handlers.{model.name}.{Path(HOOK).stem}"
    printed = processes.run(
        [sys.executable, "-m", "marquee.archives.pack_hook", module, model.weights, out],
        f"{model.name} {model.version} cannot be packed",
        env=os.environ | {"PYTHONPATH": str(project.root)},
        cwd=project.root,
    )
    return Path(printed.splitlines()[-1])


def main() -> int:
    """Run ``MODULE.pack(WEIGHTS, OUT)`` and print the path it returns."""
    name, weights, out = sys.argv[1:]
    try:
        path = importlib.import_module(name).pack(Path(weights), Path(out))
    except (ValueError, OSError) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
