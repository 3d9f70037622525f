"""Whether a GPU still works after an error, or its context is lost and the process with it."""

from __future__ import annotations

import logging

import torch

from handlers.runtime.errors import chain
from handlers.runtime.memory import is_out_of_memory

logger = logging.getLogger(__name__)

# Numbers of cudaError_t (CUDA Runtime API, "Data types used by CUDA Runtime"): calls that were
# refused, and left everything as it was. After all others, known or not, nothing is certain.
REFUSED_CALLS = frozenset(
    {
        1,  # cudaErrorInvalidValue
        2,  # cudaErrorMemoryAllocation
        9,  # cudaErrorInvalidConfiguration: of a launch
        98,  # cudaErrorInvalidDeviceFunction
        209,  # cudaErrorNoKernelImageForDevice
        701,  # cudaErrorLaunchOutOfResources
        720,  # cudaErrorCooperativeLaunchTooLarge
        801,  # cudaErrorNotSupported
    }
)
# An error of the device in the words of a library that has no class for it, such as TorchScript.
WORDS = (
    "device-side assert triggered",
    "illegal memory access",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction",
    "uncorrectable ECC error",
)


def is_lost(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, says that the device's context is lost."""
    return any(map(_says_so, chain(error)))


def _says_so(error: BaseException) -> bool:
    if isinstance(error, torch.AcceleratorError):
        code = getattr(error, "error_code", None)
        return code not in REFUSED_CALLS and not is_out_of_memory(error)
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def survives(device: torch.device) -> bool:
    """Ask a device, after an error, whether it still works; give back memory that nothing uses.

    A GPU whose context is lost answers every call with the error that cost it, whatever a library
    has made of that error.
    """
    if device.type != "cuda":
        return True
    try:
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
    except Exception:  # of whatever class: it does not work
        logger.exception("%s does not answer any more", device)
        return False
    return True


def is_lost_on(device: torch.device, error: BaseException) -> bool:
    """Tell whether ``error`` says that the device is lost, or the device itself does."""
    return is_lost(error) or not survives(device)
