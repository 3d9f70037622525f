"""Use freed memory again for the next tensors, instead of asking the system for new.

glibc maps every block of more than 32 MB on its own, and unmaps it when it is freed. What a network
computes at large sizes is such blocks: each layer's output is zeroed by the kernel, page by page,
before it is written to. See mallopt(3) and malloc_trim(3).
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
    """The memory that this process keeps when it is freed, until it is too much.

    Keeping holds for the whole process, and to its end. C libraries other than glibc, and other
    systems, have nothing of the kind: there nothing is done.
    """

    def __init__(self) -> None:
        self._library = glibc()
        self._at_rest = 0
        if self._library is not None:
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
