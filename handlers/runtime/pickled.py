"""Read what torch.save wrote without running code in it: foreign classes become stand-ins.

A checkpoint holds more than tensors: the options of a run, a path, numpy's best accuracy. PyTorch's
safe reader refuses a file for any class that it does not know. Here each such name is given a
class of ours that takes everything and does nothing, and so the tensors beside it can be read.
"""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import torch

# torch.save's older format is five pickles in a row; the fourth is the content.
LEGACY_PICKLES = 5
MAX_NAMES = 1000
OWN = ("torch.", "collections.", "numpy.", "builtins.", "_codecs.")


class StandIn(list[Any]):
    """In place of an object of a class that is not known here; ``named`` is the class' name."""

    named = ""

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        """Take whatever the file gives the class."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Keep nothing of it."""
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Keep nothing of the object's attributes."""


class _Mapping:
    """In place of a class that is a dict: PyTorch's reader fills its own kinds of dict only."""

    def __new__(cls, *_: Any, **__: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


def read_pickled(path: Path, allowed: Sequence[type] = ()) -> Any:
    """Return what torch.save wrote to ``path``, on the CPU, mapped where its format can be.

    Args:
        path: a file in either of torch.save's formats.
        allowed: classes that are made for real; to make one must run no code of its own.

    Raises:
        pickle.UnpicklingError: it cannot be read without running code.
        Exception: almost any other, of a damaged file.
    """
    try:
        return _load(path, [*allowed])
    except pickle.UnpicklingError:
        own = {f"{one.__module__}.{one.__qualname__}" for one in allowed}
        names = [name for name in foreign_names(path) if name not in own]
        return _load(path, [*allowed, *map(_stand_in, names)])


def _load(path: Path, known: list[Any]) -> Any:
    with torch.serialization.safe_globals(known), warnings.catch_warnings():
        # Of another pickle protocol; whether it can be read is told by what follows.
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )


def _stand_in(name: str) -> tuple[type, str]:
    base = _Mapping if name.casefold().endswith("dict") else StandIn
    return type(name.rpartition(".")[2], (base,), {"named": name}), name


def foreign_names(path: Path) -> list[str]:
    """Return the names, in order, that the file's pickle imports and PyTorch may not know."""
    names: list[str] = []
    for stream in _pickles(path):
        names += islice(_imports(stream), MAX_NAMES)
    return [*dict.fromkeys(names)][:MAX_NAMES]


def _today(module: str, name: str) -> str:
    """Return a name as Python 3 has it: torch.save writes those of Python 2."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def classes_in(names: Iterable[str]) -> list[str]:
    """Return those that are somebody's own rather than a library's."""
    return [name for name in names if not name.startswith(OWN)]


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            for _ in range(LEGACY_PICKLES):
                yield file
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.rpartition("/")[2] == "data.pkl":
                with archive.open(name) as member:
                    yield member


def _imports(stream: IO[bytes]) -> Iterator[str]:
    try:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL":
                yield _today(*str(argument).split(" ", 1))
    except (ValueError, IndexError, UnicodeDecodeError):
        return  # no further pickle here; what cannot be read is told by the reader itself
