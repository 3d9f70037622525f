"""Seconds, memory and work of something that runs on a device, and what the device can do."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
VIEWS = (
    "view",
    "expand",
    "permute",
    "transpose",
    "slice",
    "select",
    "unsqueeze",
    "detach",
    "alias",
)


def set_tf32(precision: str) -> None:
    """Let matrix units round to TF32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


@dataclass(frozen=True)
class Timing:
    """Of one call: the median's seconds, the fastest and the slowest, and the GPU's memory."""

    seconds: float
    fastest: float
    slowest: float
    rounds: int
    megabytes: float | None


def measure(work: Callable[[], object], device: torch.device, seconds: float) -> Timing:
    """Call ``work`` for about so long, five times at least, after two calls that do not count.

    Without any seconds it is called once, after one: to see that it can be.
    """
    gpu = device.type == "cuda"
    gc.collect()
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2 if seconds else 1):
        work()
    taken: list[float] = []
    while len(taken) < (5 if seconds else 1) or sum(taken) < seconds:
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        taken.append(time.perf_counter() - start)
        if sum(taken) > max(20 * seconds, 1):
            break
    peak = torch.cuda.max_memory_allocated(device) / 1e6 if gpu else None
    return Timing(statistics.median(taken), min(taken), max(taken), len(taken), peak)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes that operations read and write, views excepted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not any(view in str(func) for view in VIEWS):
            self.bytes += _bytes(args) + _bytes(result)
        return result


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    return sum(map(_bytes, value)) if isinstance(value, (tuple, list)) else 0


@dataclass(frozen=True)
class Work:
    """What a call does: floating-point operations, and bytes read and written one by one."""

    flops: float
    bytes: float


def work_of(call: Callable[[], object]) -> Work:
    """Count what ``call`` does when every operation runs alone.

    A compiler that joins operations moves fewer bytes than are counted here.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        call()
    with torch.inference_mode(), _Traffic() as traffic:
        call()
    return Work(float(counter.get_total_flops()), float(traffic.bytes))


@dataclass(frozen=True)
class Ceilings:
    """What a device reaches: operations a second in each number format, and bytes a second."""

    flops: dict[str, float]
    copy: float
    upload_pinned: float
    upload_paged: float

    def share(self, work: Work, seconds: float, precision: str) -> tuple[float, float]:
        """Return which shares of both ceilings a call has reached."""
        of_flops = work.flops / seconds / self.flops.get(precision, math.inf)
        return of_flops, work.bytes / seconds / self.copy


def measure_ceilings(device: torch.device, side: int = 8192, seconds: float = 0.4) -> Ceilings:
    """Multiply square matrices in each format, copy a gigabyte, upload an eighth of it.

    Args:
        side: of the matrices; the copies are of side * side * 16 bytes at most.
        seconds: for each, as ``measure`` takes them.
    """
    gpu = device.type == "cuda"
    flops: dict[str, float] = {}
    for precision in DTYPES if gpu else ("fp32", "bf16"):
        set_tf32(precision)
        one = torch.randn(side, side, device=device).to(DTYPES[precision])
        flops[precision] = 2 * side**3 / measure(lambda x=one: x @ x, device, seconds).fastest  # type: ignore[misc]
    set_tf32("fp32")
    source = torch.empty(side * side * 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / measure(lambda: target.copy_(source), device, seconds).fastest
    host = torch.empty(side * side * 2, dtype=torch.uint8)
    there = torch.empty_like(host, device=device)
    paged = host.nbytes / measure(lambda: there.copy_(host), device, seconds).fastest
    pinned = host.pin_memory() if gpu else host
    upload = measure(lambda: there.copy_(pinned, non_blocking=True), device, seconds)
    return Ceilings(flops, copied, host.nbytes / upload.fastest, paged)
