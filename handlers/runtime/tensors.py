"""Tensors of KServe's Open Inference Protocol (version 2, HTTP/REST), which come in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from handlers.runtime.arrays import MAX_DEPTH, Array, from_lists, write_npy
from handlers.runtime.errors import BadRequest
from handlers.runtime.media import NPY
from handlers.runtime.payload import from_base64

FIELDS = {"name", "shape", "datatype", "data"}
BYTES = "BYTES"
MAX_SIDE = (1 << 63) - 1
# The protocol's names of the types that JSON can carry.
DTYPES = {
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}


NAMES = {dtype: name for name, dtype in DTYPES.items()} | {np.dtype(bool): "BOOL"}


def number_tensor(name: str, numbers: Array) -> dict[str, Any]:
    """Return an array of any shape as a tensor; its data are flat, row by row."""
    if numbers.dtype not in NAMES:
        numbers = numbers.astype(np.float64)  # the widest there is
    shape, datatype = list(numbers.shape), NAMES[numbers.dtype]
    return {"name": name, "datatype": datatype, "shape": shape, "data": numbers.ravel()}


def bytes_tensor(name: str, texts: list[str], media: str) -> dict[str, Any]:
    """Return texts as a tensor; a file's is base64, of the media type that is told beside it."""
    about = {"content_type": media}
    return {
        "name": name,
        "datatype": BYTES,
        "shape": [len(texts)],
        "parameters": about,
        "data": texts,
    }


def is_tensor(value: Any) -> bool:
    """Tell whether a JSON value is meant as one of the protocol's tensors."""
    return isinstance(value, dict) and "datatype" in value


def read_tensor(tensor: dict[str, Any], name: str) -> Iterator[tuple[bytes, str]]:
    """Yield the inputs of a tensor: each text of BYTES is a file in base64, numbers are one array.

    Args:
        tensor: with ``shape``, ``datatype``, ``data`` (nested or flat), and what else there is.
        name: for messages.

    Yields:
        A file's or an ``.npy`` file's bytes, and their media type, empty where nobody says.

    Raises:
        BadRequest: a field is missing or not what the others say.
    """
    missing = sorted(FIELDS - {"name"} - set(tensor))
    if missing:
        raise BadRequest(
            f"'{name}' has no {' and no '.join(missing)}; a tensor has name, shape, datatype, data"
        )
    shape, datatype, data = _shape(tensor["shape"], name), tensor["datatype"], tensor["data"]
    if datatype == BYTES:
        yield from _files(data, shape, name)
    elif isinstance(datatype, str) and datatype in DTYPES:
        yield _numbers(data, shape, DTYPES[datatype], name), NPY
    else:
        raise BadRequest(
            f"'{name}' has the datatype {str(datatype)[:40]!r}; expected {BYTES} (base64) or one "
            f"of {', '.join(DTYPES)}"
        )


def _shape(value: Any, name: str) -> tuple[int, ...]:
    sides = value if isinstance(value, list) else []
    if not sides or any(type(side) is not int or side < 0 for side in sides):
        raise BadRequest(f"'{name}' has no usable shape; expected a list of integers")
    # Before they are multiplied: of many long numbers that takes minutes.
    if len(sides) > MAX_DEPTH or max(sides) > MAX_SIDE:
        raise BadRequest(
            f"'{name}' has a shape of {len(sides)} sides; expected at most {MAX_DEPTH}, none over "
            f"{MAX_SIDE}"
        )
    return tuple(sides)


def _files(data: Any, shape: tuple[int, ...], name: str) -> Iterator[tuple[bytes, str]]:
    texts = data if isinstance(data, list) else [data]
    _check_count(len(texts), shape, name)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadRequest(f"'{name}.data[{position}]' is no text; expected a file in base64")
        yield from_base64(text, f"{name}.data[{position}]")


def _numbers(data: Any, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> bytes:
    numbers = from_lists(data)
    _check_count(numbers.size, shape, name)
    with np.errstate(over="ignore", invalid="ignore"):
        typed = numbers.astype(dtype)
    if not np.isfinite(typed).all() or (dtype.kind != "f" and not (typed == numbers).all()):
        raise BadRequest(f"'{name}.data' holds numbers that are no {dtype}")
    return write_npy(typed.reshape(shape))


def _check_count(count: int, shape: tuple[int, ...], name: str) -> None:
    if count != math.prod(shape):
        raise BadRequest(f"'{name}' has the shape {list(shape)}, and {count} values in its data")
