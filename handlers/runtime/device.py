"""Where and how a network runs: device, number format, memory layout, threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from handlers.runtime.settings import SettingsError

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class Placement:
    """A device, and the number format and memory layout used on it."""

    device: torch.device
    dtype: torch.dtype
    layout: torch.memory_format = torch.channels_last

    def network(self, network: nn.Module) -> nn.Module:
        """Move ``network`` here, in evaluation mode, weights in this layout."""
        moved = network.to(device=self.device, dtype=self.dtype).eval()
        return moved.to(memory_format=self.layout)

    def batch(self, items: list[Tensor]) -> Tensor:
        """Stack items of one shape to a batch here; floating numbers take this dtype."""
        stacked = torch.stack(items)
        dtype = self.dtype if stacked.is_floating_point() else stacked.dtype
        layout = self.layout if stacked.dim() == 4 else torch.preserve_format
        return stacked.to(device=self.device, dtype=dtype, memory_format=layout)


def place(
    gpu_id: int | None, precision: str, layout: torch.memory_format = torch.channels_last
) -> Placement:
    """Choose the device that TorchServe gave this worker, else the CPU.

    Raises:
        SettingsError: fp16 on a CPU, where it is slow and often not implemented.
    """
    if gpu_id is not None and torch.cuda.is_available():
        # fp32 means fp32: TF32 keeps only 10 bits of the mantissa.
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        return Placement(torch.device("cuda", gpu_id), DTYPES[precision], layout)
    if precision == "fp16":
        raise SettingsError("marquee.precision fp16 needs a GPU; use bf16 or fp32 on a CPU")
    return Placement(torch.device("cpu"), DTYPES[precision], layout)


def map_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """Apply ``change`` to every tensor of a network's output (tensor, tuple, list or dict)."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(map_tensors(item, change) for item in value)
    raise TypeError(f"a network's output must be made of tensors, found {type(value).__name__}")


def to_host(output: Any) -> Any:
    """Bring an output to the CPU, floating numbers as float32."""
    return map_tensors(output, lambda t: t.float().cpu() if t.is_floating_point() else t.cpu())
