"""What a model folder holds: archives, a SageMaker script with its model, or both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marquee.archives import listing, model_folder, reader
from marquee.archives.listing import Archive
from marquee.archives.manifest import MANIFEST
from marquee.errors import MarqueeError


@dataclass(frozen=True)
class Script:
    """A SageMaker model folder.

    Attributes:
        folder: whose entries are the model's.
        code: the folder of the script: its ``code``, or one elsewhere.
        program: the script's file name; None is ``inference.py``.
        others: the entries that are not the model's, but archives of their own.
    """

    folder: Path
    code: Path
    program: str | None = None
    others: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether the folder is the model as it stands."""
        return not self.others and self.code == self.folder / model_folder.CODE


@dataclass(frozen=True)
class Contents:
    """What there is to serve.

    Attributes:
        archives: with their manifests.
        script: the folder that was looked through, or the only one in it.
        notes: what is not served, or lies elsewhere than expected; a sentence each.
    """

    archives: tuple[Archive, ...]
    script: Script | None
    notes: tuple[str, ...] = ()


def find(folder: Path, program: str | None = None, code_dir: Path | None = None) -> Contents:
    """Look through a model folder, and where it holds nothing, through the only folder in it.

    Args:
        program: the script's file name, where it is not ``inference.py``.
        code_dir: where the script lies, if not in the model folder's ``code``.

    Raises:
        MarqueeError: there is no such folder, it cannot be read, or nothing in it is a model.
    """
    _check_readable(folder)
    absent = None if code_dir is None or code_dir.is_dir() else code_dir
    here = _here(folder, program, code_dir if absent is None else None)
    if absent is not None:
        note = f"SAGEMAKER_SUBMIT_DIRECTORY is {absent}, and there is no such folder"
        here = replace(here, notes=(note, *here.notes))
    if here.archives or here.script:
        return here
    below = {path: _here(path, program) for path in model_folder.folders(folder)}
    deeper = [(path, inside) for path, inside in below.items() if inside.archives or inside.script]
    if len(deeper) == 1:
        ((path, inside),) = deeper
        note = f"{folder} holds nothing to serve but {path.name}/, one level down: it is served"
        return Contents(inside.archives, inside.script, (note, *inside.notes))
    several = ", ".join(path.name for path, _ in deeper)
    raise MarqueeError(_nothing(folder, program, here.notes, several))


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


def _here(folder: Path, program: str | None, code_dir: Path | None = None) -> Contents:
    """Return what lies in a folder itself."""
    if (folder / MANIFEST).exists():
        return Contents((Archive(folder, reader.read(folder)),), None)
    listed = listing.scan(folder)
    own = folder / model_folder.CODE
    code = code_dir or own
    has_script = code != own or model_folder.find_program(
        folder, program or model_folder.DEFAULT_PROGRAM
    )
    # A weight file beside archives is no model of its own.
    is_alone = not listed.archives and program is None
    if not (has_script or (is_alone and model_folder.has_torchscript(folder))):
        return Contents(listed.archives, None, listed.passed_over)
    others = frozenset(archive.path.name for archive in listed.archives)
    # Its folders are its own affair.
    return Contents(listed.archives, Script(folder, code, program, others), listed.refused)


def _nothing(folder: Path, program: str | None, notes: Sequence[str], several: str) -> str:
    wanted = f"{model_folder.CODE}/{program or model_folder.DEFAULT_PROGRAM}"
    hints = [*notes]
    if several:
        hints = [f"{several} one level down could each be served: mount or pack one"]
    elif program is not None:
        hints.insert(0, f"SAGEMAKER_PROGRAM is {program!r}, and there is no such file")
    return (
        f"{folder} holds nothing that can be served; expected .mar archives, or a SageMaker "
        f"model folder: {wanted} beside its weights, or a TorchScript file model.pt"
        + "".join(f"; {hint}" for hint in hints)
    )
