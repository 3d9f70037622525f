"""The directory of a TIFF file (TIFF 6.0, section 2, and BigTIFF with 64-bit offsets)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple


class Entry(NamedTuple):
    """A tag, the type and number of its values, and these, or their place where they are long."""

    tag: int
    kind: int
    number: int
    field: bytes


def byte_order(data: bytes) -> str:
    """Return the order of bytes in the file's numbers, as in struct and numpy."""
    return "<" if data.startswith(b"II") else ">"


def is_big(data: bytes) -> bool:
    """Tell whether offsets and counts have 64 bits."""
    return 43 in (data[2], data[3])


def entries(data: bytes, most: int) -> Iterator[Entry]:
    """Yield the first directory's entries, ``most`` at the most.

    Raises:
        struct.error, OverflowError: the file ends too early.
    """
    order = byte_order(data)
    offset, entry, counter = ("Q", "HHQ8s", "Q") if is_big(data) else ("I", "HHI4s", "H")
    (start,) = struct.unpack_from(order + offset, data, 8 if is_big(data) else 4)
    (number,) = struct.unpack_from(order + counter, data, start)
    start += struct.calcsize(order + counter)
    for index in range(min(number, most)):
        yield Entry(
            *struct.unpack_from(order + entry, data, start + index * struct.calcsize(order + entry))
        )
