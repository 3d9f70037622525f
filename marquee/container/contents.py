"""What a model folder holds: archives, a SageMaker script with its model, or both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import model_folder
from marquee.archives.content import MANIFEST
from marquee.errors import MarqueeError

TORCHSCRIPT = (".pt", ".pth")


@dataclass(frozen=True)
class Contents:
    """What there is to serve.

    Attributes:
        archives: ``.mar`` files and unpacked archives.
        script: whether the folder is a SageMaker model folder as well.
    """

    archives: tuple[Path, ...]
    script: bool


def find(folder: Path, program: str | None, code_dir: Path | None) -> Contents:
    """Look through a model folder.

    Raises:
        MarqueeError: there is no such folder, it cannot be read, or nothing in it is a model.
    """
    if not folder.is_dir():
        raise MarqueeError(
            f"there is no model folder {folder}; mount one there, or set SAGEMAKER_BASE_DIR"
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MarqueeError(
            f"{folder} cannot be read by user {os.getuid()}, which this container runs as; "
            "chmod a+rX it"
        )
    archives = _archives(folder)
    script = _is_script(folder, program, code_dir, bool(archives))
    if not archives and not script:
        raise MarqueeError(
            f"{folder} holds nothing that can be served; expected .mar archives, or a SageMaker "
            f"model folder: {model_folder.CODE}/{program or model_folder.DEFAULT_PROGRAM} "
            "beside its weights, or a TorchScript file model.pt"
        )
    return Contents(archives, script)


def _archives(folder: Path) -> tuple[Path, ...]:
    if (folder / MANIFEST).is_file():
        return (folder,)
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return tuple(
        sorted(path for path in found if path.suffix == ".mar" or (path / MANIFEST).is_file())
    )


def _is_script(folder: Path, program: str | None, code_dir: Path | None, has_archive: bool) -> bool:
    if code_dir is not None and code_dir != folder / model_folder.CODE:
        return True
    if model_folder.find_program(folder, program or model_folder.DEFAULT_PROGRAM):
        return True
    if program is not None and not has_archive:
        raise MarqueeError(
            f"SAGEMAKER_PROGRAM is {program!r}, and {folder} has no such file, neither in "
            f"{model_folder.CODE}/ nor beside it"
        )
    # A weight file beside archives is no model of its own.
    return not has_archive and any(path.suffix in TORCHSCRIPT for path in folder.iterdir())
