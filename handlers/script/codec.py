"""The bodies that the default functions read and write: JSON, CSV, npy, npz; never pickled."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handlers.runtime.arrays import Array, check_numeric, from_lists, read_npy, write_npy
from handlers.runtime.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from handlers.runtime.jsonbody import parse_json
from handlers.runtime.media import JSON, NPY, media_type, negotiate
from handlers.script.npz import read_npz

CSV = "text/csv"
NPZ = "application/x-npz"
# These bodies are handed to a script as str, all others as bytes.
TEXT_TYPES = (JSON, CSV)
READABLE = (JSON, CSV, NPY, NPZ)
WRITABLE = (JSON, CSV, NPY, NPZ)

Body = str | bytes | bytearray


def decode(body: Body, content_type: str | None, max_bytes: int) -> Tensor:
    """Read a tensor from a request's body.

    Args:
        body: JSON nested lists, CSV, a ``.npy`` or an ``.npz`` file.
        content_type: its header; parameters such as a charset are ignored.
        max_bytes: what an ``.npz`` file may unpack to.

    Returns:
        float32 from text; the array's own dtype from npy and npz; any shape.

    Raises:
        UnsupportedMediaType: another content type, or none.
        BadRequest: damaged, empty, pickled, ragged, NaN or infinite.
        TooLarge: an ``.npz`` file of more than ``max_bytes`` when unpacked.
    """
    media = media_type(content_type)
    if media not in READABLE:
        raise UnsupportedMediaType(
            f"cannot read '{(content_type or 'a body without content type')[:100]}'; send "
            f"{', '.join(READABLE)} and say so in the Content-Type header"
        )
    data = body.encode() if isinstance(body, str) else bytes(body)
    if media in TEXT_TYPES:
        return _float32(from_lists(parse_json(data)) if media == JSON else _read_csv(data))
    return _own_type(read_npy(data) if media == NPY else read_npz(data, max_bytes))


def _float32(array: Array) -> Tensor:
    with np.errstate(over="ignore"):
        narrow: Array = array.astype(np.float32)
    return torch.from_numpy(check_numeric(narrow))


def _own_type(array: Array) -> Tensor:
    checked = array if array.dtype.kind == "b" and array.size else check_numeric(array)
    native = np.ascontiguousarray(checked, checked.dtype.newbyteorder("="))
    try:
        # ascontiguousarray makes a 0-d array one-dimensional.
        return torch.from_numpy(native.reshape(array.shape))
    except TypeError as error:
        raise BadRequest(f"arrays of {array.dtype} cannot be read; send float32") from error


def _read_csv(data: bytes) -> Array:
    """Read rows of numbers; one row or one column comes out one-dimensional, as in the toolkit."""
    if not data.strip():
        raise BadRequest("the CSV body is empty")
    try:
        numbers: Array = np.loadtxt(io.StringIO(data.decode()), delimiter=",")
    except ValueError as error:
        reason = str(error).split("; ")[0][:200]
        raise BadRequest(f"the body is not a CSV table of numbers: {reason}") from error
    return numbers


def encode(prediction: Any, accept: str) -> tuple[bytes, str]:
    """Write a prediction in the first type of ``accept`` that is known; return its type as well.

    Tensors are written as their Python numbers, so npy holds float64 or int64, as the toolkit's.

    Raises:
        NotAcceptable: no known type is accepted, or the prediction has no such form.
        ValueError: NaN or infinity, which JSON does not have.
    """
    media = negotiate(accept, _by_preference(accept))
    value = _numbers(prediction) if isinstance(prediction, Tensor) else prediction
    try:
        return _WRITERS[media](value), media
    except _NoSuchForm as error:
        raise NotAcceptable(
            f"this answer cannot be written as {media} ({error}); ask for {JSON}"
        ) from error


def _by_preference(accept: str) -> tuple[str, ...]:
    """Return the known types as the client lists them: of equal weight the first one wins."""
    listed = [media_type(part) for part in accept.split(",")]
    rank = {media: at for at, media in reversed([*enumerate(listed)])}
    return tuple(sorted(WRITABLE, key=lambda media: rank.get(media, math.inf)))


def _numbers(tensor: Tensor) -> Array:
    """Return an array of the type that a list of the tensor's numbers would get."""
    host = tensor.detach().cpu()
    if host.is_floating_point():
        return host.double().numpy()
    array: Array = host.numpy()
    return array if array.dtype.kind == "b" else array.astype(np.int64)


class _NoSuchForm(Exception):
    """Says what about a prediction does not fit the type."""


def _write_json(value: Any) -> bytes:
    return json.dumps(value, default=_as_list, allow_nan=False).encode()


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a prediction of type {type(value).__name__} has no JSON form")


def _write_csv(value: Any) -> bytes:
    array = _array(value)
    if array.ndim not in (1, 2):
        raise _NoSuchForm(f"its shape is {array.shape}, a table has one or two dimensions")
    stream = io.StringIO()
    np.savetxt(stream, array, delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def _write_npy(value: Any) -> bytes:
    return write_npy(_array(value))


def _write_npz(value: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, _array(value))
    return stream.getvalue()


def _array(value: Any) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise _NoSuchForm("its rows differ in length") from error
    if array.dtype.hasobject:
        raise _NoSuchForm("it is not an array")
    return array


_WRITERS: dict[str, Callable[[Any], bytes]] = {
    JSON: _write_json,
    CSV: _write_csv,
    NPY: _write_npy,
    NPZ: _write_npz,
}
