"""What a model folder holds: archives, a SageMaker script with its model, or both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import listing, model_folder, reader
from marquee.archives.listing import Archive
from marquee.archives.manifest import MANIFEST
from marquee.errors import MarqueeError


@dataclass(frozen=True)
class Contents:
    """What there is to serve.

    Attributes:
        archives: with their manifests.
        script: the SageMaker model folder, where there is one as well: the folder that was
            looked through, or the only one in it.
        notes: what is not served, or found elsewhere than expected; a sentence each.
    """

    archives: tuple[Archive, ...]
    script: Path | None
    notes: tuple[str, ...] = ()


def find(folder: Path, program: str | None, code_dir: Path | None) -> Contents:
    """Look through a model folder, and where it holds nothing, through the only folder in it.

    Raises:
        MarqueeError: there is no such folder, it cannot be read, or nothing in it is a model.
    """
    _check_readable(folder)
    found = _here(folder, program, code_dir)
    if found is not None:
        return found
    below = {path: _here(path, program, None) for path in model_folder.folders(folder)}
    deeper = {path: inside for path, inside in below.items() if inside is not None}
    if len(deeper) == 1:
        ((path, inside),) = deeper.items()
        note = f"{folder} holds nothing to serve but {path.name}/, one level down: it is served"
        return Contents(inside.archives, inside.script, (note, *inside.notes))
    raise MarqueeError(_nothing(folder, program, [path.name for path in deeper]))


def _check_readable(folder: Path) -> None:
    if not folder.is_dir():
        raise MarqueeError(
            f"there is no model folder {folder}; mount one there, or set SAGEMAKER_BASE_DIR"
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MarqueeError(
            f"{folder} cannot be read by user {os.getuid()}, which this container runs as; "
            "chmod a+rX it"
        )


def _here(folder: Path, program: str | None, code_dir: Path | None) -> Contents | None:
    """Return what lies in a folder itself, or None."""
    if (folder / MANIFEST).exists():
        return Contents((Archive(folder, reader.read(folder)),), None)
    found = listing.scan(folder)
    if _is_script(folder, program, code_dir, bool(found.archives)):
        # Its folders are its own affair.
        return Contents(found.archives, folder, found.refused)
    return Contents(found.archives, None, found.passed_over) if found.archives else None


def _nothing(folder: Path, program: str | None, several: list[str]) -> str:
    wanted = f"{model_folder.CODE}/{program or model_folder.DEFAULT_PROGRAM}"
    said = [*listing.scan(folder).passed_over]
    if several:
        said = [f"{', '.join(several)} one level down could each be served: mount or pack one"]
    elif program is not None:
        said.insert(0, f"SAGEMAKER_PROGRAM is {program!r}, and there is no such file")
    found = "".join(f"; {sentence}" for sentence in said)
    return (
        f"{folder} holds nothing that can be served; expected .mar archives, or a SageMaker "
        f"model folder: {wanted} beside its weights, or a TorchScript file model.pt{found}"
    )


def _is_script(folder: Path, program: str | None, code_dir: Path | None, has_archive: bool) -> bool:
    if code_dir is not None and code_dir != folder / model_folder.CODE:
        return True
    if model_folder.find_program(folder, program or model_folder.DEFAULT_PROGRAM):
        return True
    # A weight file beside archives is no model of its own.
    return not has_archive and program is None and model_folder.has_torchscript(folder)
