"""The most memory that this process had since it was last asked, as Linux counts it."""

from __future__ import annotations

import os
import resource

# Linux' proc(5): forget the peak of what was resident.
FORGET = b"5"


class Peak:
    """How far this process grows beyond what it has when ``reset`` is called."""

    def __init__(self) -> None:
        self._forget = os.open("/proc/self/clear_refs", os.O_WRONLY)
        self._before = 0

    def reset(self) -> None:
        """Begin anew."""
        os.pwrite(self._forget, FORGET, 0)
        self._before = _most()

    def grown(self) -> int:
        """Return the bytes by which it has grown at its largest."""
        return _most() - self._before

    def __del__(self) -> None:
        os.close(self._forget)


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
