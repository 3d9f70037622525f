"""Let go of weights that lie in a mapped file, until they are needed again."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from torch import nn

MAPS = Path("/proc/self/maps")

Span = tuple[int, int]


def mapped_pages(network: nn.Module, file: Path) -> list[Span]:
    """Return the addresses, start and end, of the pages in ``file`` that hold the weights.

    They hold as long as the network's tensors are the same. Weights that were changed, converted
    or moved to a GPU are no longer the file's. Only Linux can tell; elsewhere there are none.

    Args:
        network: a network whose weights nobody writes to: what was written would be lost.
        file: the weight file that ``torch.load(mmap=True)`` mapped.
    """
    if sys.platform != "linux":
        return []
    tensors = chain(network.parameters(), network.buffers())
    spans = ((t.data_ptr(), t.data_ptr() + t.nbytes) for t in tensors if t.device.type == "cpu")
    return [*_whole_pages(spans, [*_mapped(file)])]


def let_go(pages: Sequence[Span]) -> int:
    """Take pages of a mapped file out of this process' memory.

    They stay in the system's file cache, from where the next use fetches them, and may leave it
    when memory is short.

    Returns:
        The number of bytes that were let go.
    """
    if not pages:
        return 0
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(
        end - start
        for start, end in pages
        if libc.madvise(start, end - start, mmap.MADV_DONTNEED) == 0
    )


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
