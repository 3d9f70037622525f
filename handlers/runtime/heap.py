"""Use freed memory again for the next tensors, instead of asking the system for new.

glibc maps every block of more than 32 MB on its own, and unmaps it when it is freed. What a network
computes at large sizes is such blocks: each layer's output is zeroed by the kernel, page by page,
before it is written to. See mallopt(3) and malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# Numbers of malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def reuse_freed_memory() -> bool:
    """Let this process keep what it frees, until ``give_freed_memory_back``.

    It holds for the whole process, and to its end. C libraries other than glibc, and other
    systems, have nothing of the kind: there nothing is done.

    Returns:
        Whether it was done.
    """
    library = _glibc()
    if library is None:
        return False
    return bool(library.mallopt(MMAP_MAX, 0) and library.mallopt(TRIM_THRESHOLD, NEVER))


def give_freed_memory_back() -> None:
    """Give the system what was freed and kept; the next use of it costs page faults again."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(ctypes.c_size_t(0))


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
