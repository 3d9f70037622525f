"""Let go of weights that lie in a mapped file, until they are needed again."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from torch import nn

MAPS = Path("/proc/self/maps")

Span = tuple[int, int]


def let_go(network: nn.Module, file: Path) -> int:
    """Take the weights of ``network`` out of this process' memory where they lie in ``file``.

    They stay in the system's file cache, from where the next use fetches them, and may leave it
    when memory is short. Weights that were changed, converted or moved to a GPU are no longer the
    file's, and stay. Only Linux can tell; elsewhere nothing is done.

    Args:
        network: a network whose weights nobody writes to: what was written would be lost.
        file: the weight file that ``torch.load(mmap=True)`` mapped.

    Returns:
        The number of bytes that were let go.
    """
    if sys.platform != "linux":
        return 0
    mapped = [*_mapped(file)]
    tensors = chain(network.parameters(), network.buffers())
    spans = [(t.data_ptr(), t.data_ptr() + t.nbytes) for t in tensors if t.device.type == "cpu"]
    return sum(_advise(start, end) for start, end in _whole_pages(spans, mapped))


def _mapped(file: Path) -> Iterator[Span]:
    """Yield the addresses at which ``file`` is mapped into this process."""
    wanted = str(file.resolve())
    for line in MAPS.read_text().splitlines():
        addresses, _, rest = line.partition(" ")
        if rest.endswith(wanted) and rest.split(maxsplit=4)[-1] == wanted:
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16)


def _whole_pages(spans: Iterable[Span], mapped: Iterable[Span]) -> Iterator[Span]:
    """Yield those pages of ``spans`` that belong to them alone and lie inside ``mapped``."""
    page = mmap.PAGESIZE
    for start, end in spans:
        first, last = -(-start // page) * page, end // page * page
        if first < last and any(low <= first and last <= high for low, high in mapped):
            yield first, last


def _advise(start: int, end: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return end - start if libc.madvise(start, end - start, mmap.MADV_DONTNEED) == 0 else 0
