"""A SageMaker model folder, or the model.tar.gz of one: what is in it, and whether it is safe.

In reading order: it is unpacked, the folder meant is found, its script is checked, its files are
listed.
"""

from __future__ import annotations

import ast
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from marquee.archives import reader, safety, sources
from marquee.archives.listing import LITTER, is_hidden
from marquee.errors import MarqueeError

CODE = "code"
DEFAULT_PROGRAM = "inference.py"
FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
# What a file system keeps for itself, for root alone.
LOST = "lost+found"
TORCHSCRIPT = (".pt", ".pth")
MAX_MEMBERS = 100_000


def read(source: Path, program: str | None, scratch: Path) -> tuple[Path, Path | None]:
    """Find the model folder in what a user names, check it, and return it and its script.

    Args:
        source: a folder, or a model.tar.gz, which is unpacked into ``scratch``.
        program: the script's name, where it is not ``inference.py``.

    Raises:
        MarqueeError: there is no such file or folder, or it is no model, or unsafe.
    """
    if not source.is_dir() and not source.is_file():
        raise MarqueeError(f"{source} is neither a folder nor a model.tar.gz")
    folder = source if source.is_dir() else unpack(source, scratch)
    folder = _root(folder, program, source)
    return folder, check(folder, program, source)


def unpack(path: Path, into: Path) -> Path:
    """Unpack a model.tar.gz into the folder ``into`` and return the model folder.

    Raises:
        MarqueeError: it is damaged, unpacks to more than the disk has room for, or holds a
            path or a link that leads out of it, or a device.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with safety.tar_stream(path) as stream, tarfile.open(fileobj=stream) as archive:
            members = _checked(archive, path, shutil.disk_usage(into).free)
            archive.extractall(into, members=members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MarqueeError(
            f"{path} cannot be unpacked ({' '.join(str(error).split())}); expected a model.tar.gz "
            "as SageMaker has it"
        ) from error
    return into


def _checked(archive: tarfile.TarFile, path: Path, room: int) -> list[tarfile.TarInfo]:
    """Return the members, having counted them and their bytes before any is written."""
    members, size = [], 0
    for member in archive:
        members.append(member)
        size += member.size
        if len(members) > MAX_MEMBERS or size > room or member.size < 0:
            raise MarqueeError(
                f"{path} unpacks to more than {MAX_MEMBERS} files, or to more than the "
                f"{room >> 20} MB that are free; it is damaged, or no model"
            )
        if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
            raise MarqueeError(f"{path} holds '{member.name[:100]}', which leads out of it")
    return members


def _root(folder: Path, program: str | None, source: Path) -> Path:
    """Return the model folder itself: ``folder``, or the only folder in it that can be one.

    People pack the folder where what is in it was meant.
    """
    if _has_model(folder, program):
        return folder
    inside = [path for path in folders(folder) if _has_model(path, program)]
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(f"{path.name}/" for path in inside)
        raise MarqueeError(f"{source} holds {names}, any of which could be the model; pack one")
    other = reader.servable(files(folder))
    if other is not None and not other.endswith(".py"):
        raise MarqueeError(
            f"{source} is no model folder; it holds {other}, which is an archive already: unpack "
            "it, and serve that"
        )
    return folder


def _has_model(folder: Path, program: str | None) -> bool:
    if find_program(folder, program or DEFAULT_PROGRAM) is not None:
        return True
    return program is None and has_torchscript(folder)


def folders(folder: Path) -> Iterator[Path]:
    """Yield the folders in a folder that somebody may have meant: none hidden or unreadable."""
    for path in sorted(folder.iterdir()):
        other = is_hidden(path.name) or path.name in (CODE, LOST)
        if not other and path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            yield path


def has_torchscript(folder: Path) -> bool:
    """Tell whether there is a file that may be TorchScript; twins of a Mac are none."""
    return any(path.suffix in TORCHSCRIPT and path.name[0] != "." for path in folder.iterdir())


def find_program(folder: Path, program: str) -> Path | None:
    """Return the script's file, ``code/`` first, or None."""
    relative = program.removesuffix(".py") + ".py"
    candidates = (folder / CODE / relative, folder / relative)
    return next((path for path in candidates if path.is_file()), None)


def check(
    folder: Path, program: str | None, source: Path | None = None, option: str = "--program"
) -> Path | None:
    """Check that the folder can be a model; return its script, if it has one.

    Args:
        folder, program: as in :func:`read`.
        source: what the user calls the folder, where that is elsewhere.
        option: what names another script.

    Raises:
        MarqueeError: it has neither a script nor a TorchScript file, or hides our modules.
    """
    try:
        script = _script(folder, program, option)
        _check_names(folder)
    except MarqueeError as error:
        raise MarqueeError(str(error).replace(str(folder), str(source or folder))) from error
    return script


def _script(folder: Path, program: str | None, option: str) -> Path | None:
    script = find_program(folder, program or DEFAULT_PROGRAM)
    if script is None and program is not None:
        raise MarqueeError(f"{folder} has no {program}, neither in {CODE}/ nor beside it")
    if not has_torchscript(folder) and (script is None or "model_fn" not in defined(script)):
        raise MarqueeError(
            f"{folder} is no model folder: expected {CODE}/{DEFAULT_PROGRAM} with a model_fn, or "
            f"a TorchScript file model.pt (name another script with {option})"
        )
    return script


def _check_names(folder: Path) -> None:
    for name in ("handlers", "handlers.py"):
        if (folder / CODE / name).exists():
            raise MarqueeError(
                f"{folder / CODE / name} has the name of the package that every archive carries; "
                "rename it"
            )


def defined(script: Path) -> set[str]:
    """Return which of the toolkit's functions a script defines, imports or assigns.

    Raises:
        MarqueeError: it is no valid Python.
    """
    names: set[str] = set()
    for node in ast.walk(sources.parsed(script)):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            # `from x import *` may bring any of them.
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return set(FUNCTIONS) if "*" in names else names & set(FUNCTIONS)


def files(folder: Path) -> dict[str, Path]:
    """Return name -> file of everything in a model folder but litter and hidden folders.

    Raises:
        MarqueeError: a link leads to nothing, or a folder cannot be read.
    """
    try:
        return {path.relative_to(folder).as_posix(): path for path in _walk(folder)}
    except OSError as error:
        raise MarqueeError(f"{error.filename} cannot be read ({error.strerror})") from error


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in (*LITTER, LOST) or path.name.startswith("._"):
            continue
        if path.is_dir():
            if not path.name.startswith("."):
                yield from _walk(path)
        elif path.is_file():
            yield path
        else:
            raise MarqueeError(f"{path} is no file, or a link to nothing; remove it")
