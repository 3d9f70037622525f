"""Pieces of work, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from handlers.runtime.parts import PIXELS_ON_GPU, at_once, in_parts

GPU = torch.device("cuda", 0)


def test_a_cpu_takes_one_and_a_gpu_what_a_pass_holds() -> None:
    assert at_once(torch.device("cpu"), 100) == 1
    assert at_once(GPU, 1 << 20) == PIXELS_ON_GPU >> 20
    assert at_once(GPU, PIXELS_ON_GPU + 1) == 1


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("no memory"),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_all_pieces_are_done_in_order_and_fewer_at_a_time_when_memory_runs_out(
    error: Exception,
) -> None:
    done: list[int] = []
    sizes: list[int] = []

    def work(part: Sequence[int]) -> None:
        sizes.append(len(part))
        if len(part) > 2:
            raise error
        done.extend(part)

    in_parts(work, range(11), 8)
    assert done == [*range(11)]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("error", [*OUT_OF_MEMORY, RuntimeError("shapes"), ValueError("odd")])
def test_what_fails_alone_fails(error: Exception) -> None:
    sizes: list[int] = []

    def work(part: Sequence[int]) -> None:
        sizes.append(len(part))
        raise error

    with pytest.raises(type(error)):
        in_parts(work, range(2), 2)
    assert sizes == ([2, 1] if error in OUT_OF_MEMORY else [2])
