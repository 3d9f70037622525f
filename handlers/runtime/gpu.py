"""Whether a GPU can be used, and if not, why: said when a model loads, not by a slow answer."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

# Written by NVIDIA's kernel module; containers see it, too.
DRIVER = Path("/proc/driver/nvidia/version")


def why_unusable(gpu_id: int) -> str:
    """Compute something on a GPU; return why that is not possible, or nothing.

    Takes seconds, and some hundred megabytes of the GPU: the context that the model needs anyway.
    """
    if torch.version.cuda is None and torch.version.hip is None:
        return "this PyTorch was built without CUDA"
    try:
        found = torch.cuda.device_count()
        if 0 < found <= gpu_id:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            said = "is not set" if visible is None else f"is {visible!r}"
            return f"CUDA shows {found} (CUDA_VISIBLE_DEVICES {said})"
        # Where there is none, this says why. An old card has no kernels in a new PyTorch, a full
        # one no room for a context.
        torch.ones(1, device=f"cuda:{gpu_id}").add_(1).item()
    except Exception as error:  # noqa: BLE001 - of any class; it is told
        return " ".join(str(error).split())[:500] or type(error).__name__
    return ""


def versions() -> str:
    """Return the versions that must fit together: of the driver, of PyTorch, and of its CUDA."""
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    return f"NVIDIA driver {driver_version()}, PyTorch {torch.__version__} built for {built}"


def driver_version() -> str:
    """Return the NVIDIA driver's version, such as 535.104.05, or that none was found."""
    text = DRIVER.read_text(errors="replace") if DRIVER.is_file() else ""
    number = re.search(r"\d+\.\d+(\.\d+)?", text.partition("\n")[0])
    return number[0] if number else "not found"
