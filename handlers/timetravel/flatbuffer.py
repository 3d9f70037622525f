"""Read tables of a FlatBuffers file, such as a TensorFlow Lite model.

Source: the format's description, https://flatbuffers.dev/internals/: a table begins with its
distance back to a list of where its fields lie, 0 for a field that is left at its default.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Table:
    """One table of ``data``, at byte ``start``; fields go by their number in the schema."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._start = data, start
        self._fields = start - self._read("i", start)

    @classmethod
    def root(cls, data: bytes) -> Table:
        """Return the table that a file is about.

        Raises:
            struct.error: the file is too short.
        """
        return cls(data, int(struct.unpack_from("<I", data, 0)[0]))

    def number(self, field: int, code: str, default: int = 0) -> int:
        """Return an integer, of the size that ``code`` has in :mod:`struct`."""
        at = self._at(field)
        return self._read(code, at) if at else default

    def table(self, field: int) -> Table | None:
        """Return a table, None where there is none."""
        at = self._target(field)
        return Table(self._data, at) if at else None

    def tables(self, field: int) -> list[Table]:
        """Return a list of tables."""
        at = self._target(field)
        places = [at + 4 + 4 * i for i in range(self._read("I", at))] if at else []
        return [Table(self._data, place + self._read("I", place)) for place in places]

    def array(self, field: int, dtype: str) -> NDArray[Any]:
        """Return a list of numbers, (N,) of ``dtype``."""
        at = self._target(field)
        if not at:
            return np.zeros(0, dtype)
        return np.frombuffer(self._data, dtype, self._read("I", at), at + 4)

    def _at(self, field: int) -> int:
        """Return where a field lies, 0 for one that is left out."""
        place = 4 + 2 * field
        if place >= self._read("H", self._fields):
            return 0
        offset = self._read("H", self._fields + place)
        return self._start + offset if offset else 0

    def _target(self, field: int) -> int:
        """Return where what a field points to lies, 0 for one that is left out."""
        at = self._at(field)
        return at + self._read("I", at) if at else 0

    def _read(self, code: str, at: int) -> int:
        return int(struct.unpack_from(f"<{code}", self._data, at)[0])
