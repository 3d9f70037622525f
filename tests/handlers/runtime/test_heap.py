"""Freed memory is used again, and given back after each batch, where glibc is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from handlers.runtime import heap, worker
from handlers.runtime.exchange import Exchange
from tests.handlers.loading import load
from tests.handlers.runtime.test_handler_explanations import RED, Reddish

# In a process of its own: the setting holds to a process' end.
COMMON = """
import ctypes, resource, sys
from pathlib import Path
from handlers.runtime.heap import KEPT, Heap

SIZE, PIECE, PAGE = 2 * KEPT, 1 << 14, resource.getpagesize()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
"""
FAULTS = (
    COMMON
    + """
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

heap = Heap(keeps=True)
first, second = faults(SIZE), faults(SIZE)
assert second < first / 10, (first, second)
kept = resident()
heap.settle()
assert kept - resident() > SIZE * 0.9, (kept, resident())
assert faults(SIZE) > first / 2
heap.settle()
faults(SIZE // 4)
kept = resident()
heap.settle()
assert kept - resident() < SIZE // 8, (kept, resident())
"""
)


# Of blocks that come from the heap, one at its end stays in use.
HELD = (
    COMMON
    + """
heap = Heap(keeps=False)
heap.settle()
blocks = [libc.malloc(PIECE) for _ in range(2 * KEPT // PIECE)]
for block in blocks:
    libc.memset(block, 1, PIECE)
for block in blocks[:-1]:
    libc.free(block)
held = resident()
heap.settle()
assert held - resident() > KEPT, (held, resident())
"""
)


@pytest.mark.skipif(heap.glibc() is None, reason="only glibc can be told")
@pytest.mark.parametrize("script", [FAULTS, HELD], ids=["kept", "held at its end"])
def test_what_was_freed_is_used_again_until_it_is_much_and_given_back(script: str) -> None:
    root = Path(heap.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "glibc", lambda: None)
    monkeypatch.setattr(heap, "STATM", Path("/no/such/file"))
    heap.Heap(keeps=True).settle()


class Large(Reddish):
    """A handler whose tensors are large."""

    reuses_memory = True


@dataclass
class Counted:
    """A heap that says what it is told."""

    keeps: bool
    settled: int = 0

    def settle(self) -> None:
        self.settled += 1


@pytest.mark.parametrize(("handler", "keeps"), [(Large, True), (Reddish, False)])
def test_a_handler_says_so_with_a_word(
    handler: type[Reddish], keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Counted] = []

    def make(*, keeps: bool) -> Counted:
        made.append(Counted(keeps))
        return made[-1]

    monkeypatch.setattr(worker, "Heap", make)
    loaded = load(handler(), tmp_path / "none.pth")
    exchange = Exchange({"body": RED}, {})
    loaded.answer([exchange])
    assert exchange.answer is not None
    assert exchange.answer.status == 200
    assert made == [Counted(keeps, settled=1)]
