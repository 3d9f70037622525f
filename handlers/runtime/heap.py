"""Use freed memory again for the next tensors where that pays, and give back what is much.

glibc maps every block of more than 32 MB on its own, and unmaps it when it is freed. What a network
computes at large sizes is such blocks: each layer's output is zeroed by the kernel, page by page,
before it is written to. Smaller blocks come from the heap, which shrinks at its end only: one that
is still in use there holds all that was freed before it. See mallopt(3) and malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from functools import cache
from pathlib import Path

# Numbers of malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1
# Small requests grow the process by less: giving back costs them more than they hold.
KEPT = 1 << 28
STATM = Path("/proc/self/statm")


class Heap:
    """The memory that this process holds although it is freed, until it is too much.

    Where the C library is another than glibc nothing is done.

    Args:
        keeps: whether large blocks are held as well, for the whole process and to its end.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._library = glibc()
        self._at_rest = 0
        if self._library is not None and keeps:
            self._library.mallopt(MMAP_MAX, 0)
            self._library.mallopt(TRIM_THRESHOLD, NEVER)

    def settle(self) -> None:
        """Give freed memory back if the process holds 256 MB more than when it last did so."""
        if self._library is None or _resident() - self._at_rest < KEPT:
            return
        self._library.malloc_trim(ctypes.c_size_t(0))
        self._at_rest = _resident()


@cache
def glibc() -> ctypes.CDLL | None:
    """Return the C library, where it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def _resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE
