"""Read a safetensors file: eight bytes of length, that much JSON, then the tensors' bytes.

Written for archives, which have torch and not the package of that name. Nothing in the file is
run; what the header says is checked against the file before a tensor is made.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_HEADER = 100_000_000
# Whoever multiplies the sides of a shape must be done soon.
LIMIT, MAX_SIDES = 1 << 63, 64
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by their names, mapped into memory and not copied.

    Raises:
        ValueError: the header is not one, or says what the file cannot hold.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header, start = _header(file.read(8), file.read, size)
        # A private copy of what is written to, as torch.load maps files.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    header.pop("__metadata__", None)
    return {name: _tensor(name, entry, data, start) for name, entry in header.items()}


def _header(first: bytes, read: Any, size: int) -> tuple[dict[str, Any], int]:
    length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
    if length > min(MAX_HEADER, size - 8):
        raise ValueError("its header is longer than the file; it is truncated, copy it again")
    try:
        return dict(json.loads(read(length))), 8 + length
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError("its header is no JSON object; it is damaged, copy it again") from error


def _tensor(name: str, entry: Any, data: mmap.mmap, start: int) -> Tensor:
    try:
        dtype, shape, (begin, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"its header describes {name!r} as {str(entry)[:100]}; expected dtype ("
            f"{', '.join(DTYPES)}), shape and data_offsets"
        ) from error
    whole = [*shape, begin, end] if isinstance(shape, list) else [None]
    if any(type(number) is not int or not 0 <= number < LIMIT for number in whole):
        raise ValueError(f"its header describes {name!r} with other numbers than whole ones")
    if len(shape) > MAX_SIDES:
        raise ValueError(f"its header describes {name!r} with {len(shape)} sides")
    count = math.prod(shape)
    if end - begin != count * dtype.itemsize or start + end > len(data):
        raise ValueError(
            f"{name!r} of shape {tuple(shape)} does not lie in it: bytes {begin} to {end} of "
            f"{len(data) - start}; it is truncated or damaged, copy it again"
        )
    if not count:
        return torch.empty(shape, dtype=dtype)
    flat = torch.frombuffer(data, dtype=dtype, count=count, offset=start + begin)
    return flat.reshape(shape)
