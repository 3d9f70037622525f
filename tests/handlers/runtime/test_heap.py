"""Freed memory is used again, and given back after each batch, where glibc is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handlers.runtime import heap, worker
from handlers.runtime.exchange import Exchange
from tests.handlers.loading import load
from tests.handlers.runtime.test_handler_explanations import RED, Reddish

# In a process of its own: the setting holds to a process' end.
FAULTS = """
import ctypes, resource, sys
from pathlib import Path
from handlers.runtime.heap import give_freed_memory_back, reuse_freed_memory

SIZE, PAGE = 1 << 27, resource.getpagesize()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(SIZE)
    libc.memset(block, 1, SIZE)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE

assert reuse_freed_memory()
first, second = faults(), faults()
assert second < first / 10, (first, second)
kept = resident()
give_freed_memory_back()
assert kept - resident() > SIZE * 0.9, (kept, resident())
assert faults() > first / 2
"""


@pytest.mark.skipif(heap._glibc() is None, reason="only glibc can be told")
def test_what_was_freed_is_used_again_until_it_is_given_back() -> None:
    root = Path(heap.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_glibc", lambda: None)
    assert heap.reuse_freed_memory() is False
    heap.give_freed_memory_back()


class Large(Reddish):
    """A handler whose tensors are large."""

    reuses_memory = True


@pytest.mark.parametrize(("handler", "expected"), [(Large, ["kept", "given back"]), (Reddish, [])])
def test_a_handler_says_so_with_a_word(
    handler: type[Reddish],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(worker, "reuse_freed_memory", lambda: done.append("kept"))
    monkeypatch.setattr(worker, "give_freed_memory_back", lambda: done.append("given back"))
    loaded = load(handler(), tmp_path / "none.pth")
    exchange = Exchange({"body": RED}, {})
    loaded.answer([exchange])
    assert exchange.answer is not None
    assert exchange.answer.status == 200
    assert done == expected
