"""Arrays in and out of request bodies: ``.npy`` without pickle, and nested JSON lists."""

from __future__ import annotations

import io
import math
import sys
from itertools import chain
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.runtime.errors import BadRequest

Array = NDArray[Any]

NPY_MAGIC = b"\x93NUMPY"
# Of numpy's dtypes: booleans, integers, floats, complex numbers and text. Not structures and raw
# bytes (V), whose items may take no bytes at all, so that a file can promise any number of them.
PLAIN_KINDS = "biufcSU"
NUMBERS = {int, float}
# numpy's own limit is 64.
MAX_DEPTH = 32
# numpy has tokenize read what Python 2 may have written.
HEADER_DAMAGE = (ValueError, TypeError, SyntaxError, KeyError, UnicodeDecodeError, TokenError)


def read_npy(data: bytes) -> Array:
    """Read one array from the bytes of a ``.npy`` file (format versions 1 to 3).

    The header's promise is checked against the bytes that are there before any
    memory is taken, so that a lie in it costs nothing.

    Raises:
        BadRequest: not a ``.npy`` file, truncated, or holding Python objects.
    """
    stream = io.BytesIO(data)
    shape, dtype = _header(stream, data)
    if dtype.hasobject:
        raise BadRequest(
            "the .npy file holds pickled Python objects, which are never loaded; "
            "save a plain numeric array"
        )
    if dtype.kind not in PLAIN_KINDS:
        raise BadRequest(f"the .npy file holds {dtype}, expected an array of numbers")
    promised, present = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if promised != present:
        raise BadRequest(
            f"the .npy header promises {promised} bytes for shape {shape} of {dtype}, "
            f"but {present} follow; the body is truncated or damaged"
        )
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: io.BytesIO, data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if not data.startswith(NPY_MAGIC):
        raise BadRequest("the body is no .npy file; write it with numpy.save")
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
    except HEADER_DAMAGE as error:
        raise BadRequest("the .npy header cannot be read; write it with numpy.save") from error
    if any(side < 0 for side in shape):
        raise BadRequest(f"the .npy header has a negative side: {str(shape)[:60]}")
    # An empty array's other sides may be of any length, and no array has them.
    if len(shape) > MAX_DEPTH or math.prod(max(1, side) for side in shape) > sys.maxsize:
        raise BadRequest(f"the .npy header has a shape that no array has: {str(shape)[:60]}")
    return shape, dtype


def write_npy(array: Array) -> bytes:
    """Return ``array`` as the bytes of a ``.npy`` file."""
    array = np.ascontiguousarray(array)
    if array.dtype.hasobject:
        raise ValueError("an array of Python objects cannot be sent")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return b"".join((header.getvalue(), array.data))


def from_lists(value: Any) -> Array:
    """Turn nested JSON lists of numbers into an array.

    Takes memory for one level at a time: 8 bytes an entry, whatever the entries are.

    Raises:
        BadRequest: ragged, empty, or anything else than finite numbers.
    """
    shape: list[int] = []
    level = value if isinstance(value, list) else [value]
    while True:
        shape.append(len(level) // math.prod(shape) if level else 0)
        kinds = set(map(type, level))
        if kinds != {list}:
            break
        if len(set(map(len, level))) > 1:
            raise _ragged()
        if len(shape) >= MAX_DEPTH:
            raise BadRequest(f"the list is nested more than {MAX_DEPTH} deep")
        level = list(chain.from_iterable(level))
    # Before numpy sees them: of texts it makes an array that has room for the longest everywhere.
    if list in kinds:
        raise _ragged()
    if not kinds <= NUMBERS:
        raise BadRequest(f"expected an array of numbers, found {_named(kinds)}")
    array = np.fromiter(level, float, len(level)) if kinds == {float} else np.array(level)
    return check_numeric(array.reshape(shape if isinstance(value, list) else ()))


def _ragged() -> BadRequest:
    return BadRequest("the nested list is ragged: all rows must be of one length")


def _named(kinds: set[type]) -> str:
    names = {str: "text", bool: "booleans", type(None): "null", dict: "objects"}
    found = {"numbers" if kind in NUMBERS else names.get(kind, kind.__name__) for kind in kinds}
    return " and ".join(sorted(found))


def check_numeric(array: Array) -> Array:
    """Return ``array`` if it holds at least one number and only finite ones.

    Raises:
        BadRequest: says what was found in place of numbers.
    """
    if array.size == 0:
        raise BadRequest(f"the array is empty: its shape is {array.shape}")
    if array.dtype.kind not in "iuf":
        raise BadRequest(f"expected an array of numbers, found {_found(array)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest("the array holds NaN or infinite values; expected finite numbers")
    return array


def _found(array: Array) -> str:
    names = {"b": "booleans", "U": "text", "S": "bytes", "O": "mixed values", "c": "complex"}
    return names.get(array.dtype.kind, str(array.dtype))
