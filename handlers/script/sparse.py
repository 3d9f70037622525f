"""Sparse matrices as ``scipy.sparse.save_npz`` writes them, read without SciPy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from handlers.runtime.arrays import Array
from handlers.runtime.errors import BadRequest, TooLarge

Parts = Mapping[str, Array]
# Kinds of numpy types: truth values, integers, floating point, complex.
NUMERIC = "biufc"


def is_sparse(parts: Parts) -> bool:
    """Tell whether the arrays of an ``.npz`` file are the parts of one sparse matrix."""
    return {"format", "shape", "data"} <= parts.keys()


def to_dense(parts: Parts, max_bytes: int) -> Array:
    """Return the matrix (rows, columns) in full.

    Raises:
        BadRequest: its parts do not fit together, or it is of a format other than csr, csc, coo.
        TooLarge: it takes more than ``max_bytes``.
    """
    data = parts["data"]
    shape = _shape(parts["shape"])
    size = math.prod(shape) * data.dtype.itemsize
    if size > max_bytes:
        raise TooLarge(
            f"the sparse matrix of shape {shape} takes {size} bytes in full, at most "
            f"{max_bytes} are read; send a smaller one"
        )
    if data.dtype.kind not in NUMERIC:
        raise BadRequest(f"the sparse matrix holds {data.dtype} values, expected numbers")
    try:
        dense: Array = np.zeros(shape, data.dtype)
        rows, columns = _positions(parts, shape)
        _check_parts(data, rows, columns)
        if min(rows.min(initial=0), columns.min(initial=0)) < 0:
            raise BadRequest("the sparse matrix has negative indices")
        np.add.at(dense, (rows, columns), data)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadRequest(f"the sparse matrix's parts do not fit together: {error}") from error
    return dense


def _check_parts(data: Array, rows: Array, columns: Array) -> None:
    """See to it that each number has one row and one column: numpy would broadcast others."""
    shapes = {part.shape for part in (data, rows, columns)}
    if shapes != {(data.size,)} or any(part.dtype.kind not in "iu" for part in (rows, columns)):
        raise BadRequest(
            "the sparse matrix's parts do not fit together: expected as many rows and columns, as "
            f"whole numbers, as there are numbers; found the shapes {sorted(shapes)}"
        )


def _shape(stored: Array) -> tuple[int, int]:
    if stored.shape != (2,) or stored.dtype.kind not in "iu" or stored.min() < 0:
        raise BadRequest("the sparse matrix's shape must be two numbers")
    return int(stored[0]), int(stored[1])


def _positions(parts: Parts, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return row and column of every stored number."""
    kind = parts["format"].item()
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else kind
    if kind == "coo":
        return parts["row"], parts["col"]
    if kind not in ("csr", "csc"):
        raise BadRequest(f"sparse format '{str(kind)[:20]}' is not read; send csr, csc or coo")
    lines = shape[0] if kind == "csr" else shape[1]
    # indptr[i] .. indptr[i + 1] are the numbers of line i.
    counts = np.diff(parts["indptr"])
    if len(counts) != lines or counts.sum() != len(parts["data"]):
        raise BadRequest("the sparse matrix's indptr does not fit its shape and data")
    along, across = np.repeat(np.arange(lines), counts), parts["indices"]
    return (along, across) if kind == "csr" else (across, along)
