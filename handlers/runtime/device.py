"""Where and how a network runs: device, number format, memory layout, threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from handlers.runtime.gpu import versions, why_unusable
from handlers.runtime.settings import SettingsError

logger = logging.getLogger(__name__)

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class DeviceError(ValueError):
    """There is no GPU that works, and the CPU was not said to do; raised while the model loads."""


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
        """Stack items of one shape to a batch here; floating numbers take this dtype.

        They travel in their own type, bytes as bytes, and are converted where they arrive.
        """
        stacked = self._stacked(items).to(self.device, non_blocking=True)
        dtype = self.dtype if stacked.is_floating_point() else stacked.dtype
        layout = self.layout if stacked.dim() == 4 else torch.preserve_format
        return stacked.to(dtype=dtype, memory_format=layout)

    def _stacked(self, items: list[Tensor]) -> Tensor:
        if self.device.type != "cuda":
            return torch.stack(items)
        # From memory that is never paged out, the GPU fetches by itself, and at twice the speed.
        # PyTorch keeps such memory for the next batch.
        shape = (len(items), *items[0].shape)
        return torch.stack(items, out=torch.empty(shape, dtype=items[0].dtype, pin_memory=True))


def place(
    gpu_id: int | None,
    precision: str,
    layout: torch.memory_format = torch.channels_last,
    wanted: str = "assigned",
) -> Placement:
    """Choose the device: the GPU that TorchServe gave this worker, else the CPU.

    From here on, "cuda" without a number is that GPU in this thread.

    Args:
        gpu_id: TorchServe's; None where it gave none.
        precision: as in ``Settings``.
        layout: of the network's weights and its batches.
        wanted: the setting ``device``.

    Raises:
        DeviceError: the GPU cannot be used, or there is none, and the CPU was not said to do.
        SettingsError: fp16 on a CPU, where it is slow and often not implemented.
    """
    device = torch.device("cpu") if wanted == "cpu" else _device(gpu_id, wanted)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        # fp32 means fp32: TF32 keeps only 10 bits of the mantissa.
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        return Placement(device, DTYPES[precision], layout)
    if precision == "fp16":
        raise SettingsError("marquee.precision fp16 needs a GPU; use bf16 or fp32 on a CPU")
    return Placement(device, DTYPES[precision], layout)


def _device(gpu_id: int | None, wanted: str) -> torch.device:
    if gpu_id is None:
        if wanted == "gpu":
            raise DeviceError(
                "marquee.device is gpu, and TorchServe gave this worker none: it gives those that "
                "nvidia-smi lists, unless number_of_gpu or deviceType says otherwise; say any or "
                "cpu if the CPU will do"
            )
        return torch.device("cpu")
    reason = why_unusable(gpu_id)
    if not reason:
        return torch.device("cuda", gpu_id)
    if wanted == "any":
        logger.warning("GPU %d cannot be used, the CPU is: %s (%s)", gpu_id, reason, versions())
        return torch.device("cpu")
    raise DeviceError(
        f"TorchServe gave this worker GPU {gpu_id}, which cannot be used: {reason} ({versions()}); "
        "mend that, or set marquee.device to any or cpu if the CPU will do"
    )


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
    devices: set[torch.device] = set()

    def fetched(tensor: Tensor) -> Tensor:
        devices.add(tensor.device)
        numbers = tensor.float() if tensor.is_floating_point() else tensor
        return numbers.to("cpu", non_blocking=True)

    moved = map_tensors(output, fetched)
    for device in devices:
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # the copies went on in the background, side by side
    return moved
