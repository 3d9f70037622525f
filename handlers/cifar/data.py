"""Pictures and labels to train on: the real CIFAR-10 from its files, or drawn by program."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from handlers.cifar.demo.scenes import draw
from handlers.cifar.model import CLASSES, SIZE

DataSet: TypeAlias = tuple[Tensor, Tensor]

FOLDER = "cifar-10-batches-py"
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILES = ("test_batch",)
ROW = 3 * SIZE * SIZE  # a picture is one row: plane R, plane G, plane B


class DataError(ValueError):
    """A data set that is missing, damaged, or not CIFAR-10."""


def draw_dataset(count: int, seed: int) -> DataSet:
    """Draw ``count`` pictures, all classes equally often, in random order.

    Returns:
        uint8 (count, 3, 32, 32) and int64 (count,); the same for the same seed.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(CLASSES))
    pictures = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for place, label in enumerate(labels):
        pictures[place] = draw(int(label), rng)
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes), torch.from_numpy(labels.astype(np.int64))


def load_real(root: Path, train: bool) -> DataSet:
    """Read CIFAR-10's "python version", from ``root`` or its ``cifar-10-batches-py``.

    The files are pickles; they are read without running anything that stands in them.
    Format: https://www.cs.toronto.edu/~kriz/cifar.html

    Returns:
        uint8 (N, 3, 32, 32) and int64 (N,); N is 50,000 for training, 10,000 for test.

    Raises:
        DataError: a file is missing, damaged, or holds something else.
    """
    names = TRAIN_FILES if train else TEST_FILES
    folder = _folder(root, names[0])
    parts = [_read_batch(folder / name) for name in names]
    return torch.cat([pixels for pixels, _ in parts]), torch.cat([labels for _, labels in parts])


def _folder(root: Path, name: str) -> Path:
    for folder in (root, root / FOLDER):
        if (folder / name).is_file():
            return folder
    raise DataError(
        f"{root}: there is no {name} in it nor in {FOLDER}/; "
        "unpack CIFAR-10's python version (cifar-10-python.tar.gz) there"
    )


def _read_batch(path: Path) -> DataSet:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file, but its neighbours are there")
    content = _unpickle(path)
    if not isinstance(content, dict) or not {b"data", b"labels"} <= content.keys():
        raise DataError(f"{path}: expected a CIFAR-10 batch, a dict with data and labels")
    pixels, labels = _pixels(content[b"data"], path), _labels(content[b"labels"], path)
    if len(pixels) != len(labels):
        raise DataError(f"{path}: {len(pixels)} pictures, but {len(labels)} labels")
    return pixels, labels


class _Array:
    """Stands in for numpy.ndarray while unpickling: keeps what is said, does nothing."""

    def __init__(self, *_: object) -> None:
        self.shape: object = ()
        self.raw: object = b""

    def __setstate__(self, state: tuple[object, object, object, object, object]) -> None:
        _version, self.shape, self.dtype, self.fortran_order, self.raw = state


class _DType:
    """Stands in for numpy.dtype."""

    def __init__(self, name: object = None, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and padding, which single bytes do not have."""


class _BatchUnpickler(pickle.Unpickler):
    """Knows the three names of numpy that the files hold, and no other."""

    # The module was renamed in numpy 2; files saved again by it say so.
    KNOWN: dict[tuple[str, str], Callable[..., Any]] = {  # noqa: RUF012 - never changed
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _DType,
    }

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return the stand-in, or refuse: anything else could run code."""
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self.KNOWN[module, name]


def _unpickle(path: Path) -> object:
    with path.open("rb") as file:
        try:
            return _load(file)
        except pickle.UnpicklingError as error:
            raise DataError(
                f"{path}: refused, not a CIFAR-10 batch ({error}); nothing in it was run"
            ) from error
        except (
            EOFError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            OverflowError,
        ) as error:
            raise DataError(f"{path}: damaged or not a CIFAR-10 batch; copy it again") from error


def _load(file: BinaryIO) -> object:
    return _BatchUnpickler(file, encoding="bytes").load()  # written by Python 2: str is bytes


def _pixels(array: object, path: Path) -> Tensor:
    if not isinstance(array, _Array) or not isinstance(array.raw, bytes):
        raise DataError(f"{path}: its data is no plain array of bytes")
    count = len(array.raw) // ROW
    if array.shape != (count, ROW) or len(array.raw) != count * ROW or array.fortran_order:
        raise DataError(
            f"{path}: expected bytes of shape (N, {ROW}) row by row, "
            f"found shape {array.shape} and {len(array.raw)} bytes"
        )
    rows = np.frombuffer(array.raw, np.uint8).copy()  # torch wants memory it may write to
    return torch.from_numpy(rows).view(count, 3, SIZE, SIZE)


def _labels(labels: object, path: Path) -> Tensor:
    if not isinstance(labels, list) or not all(label in range(len(CLASSES)) for label in labels):
        raise DataError(f"{path}: expected labels as a list of integers from 0 to 9")
    return torch.tensor(labels, dtype=torch.int64)
