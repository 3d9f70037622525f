"""Half precision has a shorter range: what left it must not go out as an answer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from handlers.runtime.device import map_tensors
from handlers.runtime.errors import InternalError

# The format's name, and what to serve the model with instead.
HALVES = {
    torch.float16: (
        "fp16",
        "whose largest number is 65504",
        "bf16, whose range is fp32's, or fp32",
    ),
    torch.bfloat16: ("bf16", "which keeps three digits of a number", "fp32"),
}


def check_finite(output: Any, dtype: torch.dtype) -> None:
    """Refuse a network's output that is not finite, where the network runs in half precision.

    In single precision nothing is looked at: an infinity may be what a model means.

    Args:
        output: tensors, in whatever the model puts them.
        dtype: the network's number format.

    Raises:
        InternalError: names the precision, and what to set instead.
    """
    if dtype in HALVES:
        map_tensors(output, lambda tensor: _check(tensor, *HALVES[dtype]))


def _check(tensor: Tensor, name: str, why: str, instead: str) -> None:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise InternalError(
            f"the network's answer holds NaN or infinities: it runs in {name}, {why}; set "
            f"marquee.precision to {instead}"
        )
