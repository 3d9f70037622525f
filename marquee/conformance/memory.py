"""Memory: asked the same again and again, a worker stays as large as it is."""

from __future__ import annotations

import ctypes
import gc
import sys
import time

import psutil

from marquee.conformance.subject import CheckFailed, Subject

WARM_UP = 5
MOST, LEAST = 300, 12
SECONDS = 3.0
# What allocators and caches may take meanwhile; a leak of a picture a request is more.
ALLOWED = 4 << 20


def memory(subject: Subject) -> str:
    """Repeated requests do not make the process grow.

    Memory is read after the garbage collector ran and the C library gave back what is free.
    """
    request = subject.request()
    for _ in range(WARM_UP):
        subject.ask(request)
    before, count, end = _resident(), 0, time.monotonic() + SECONDS
    while count < LEAST or (count < MOST and time.monotonic() < end):
        subject.ask(request)
        count += 1
    grown = _resident() - before
    growth = f"{grown / (1 << 20):+.1f} MB over {count} requests"
    if grown > ALLOWED:
        raise CheckFailed(
            f"{growth}, {grown // count} bytes a request; expected less than 4 MB in all"
        )
    return growth


def _resident() -> int:
    """Return the bytes of this process that are in memory."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)
    return int(psutil.Process().memory_info().rss)
