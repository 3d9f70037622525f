"""Out of memory, however it is said."""

from __future__ import annotations

import errno

import torch

CLASSES = (torch.OutOfMemoryError, MemoryError)
# What has no class of its own, by the words it is told from other errors: PyTorch's allocator on
# the CPU, C++'s, and the libraries on a GPU that ask for memory themselves.
WORDS = (
    "DefaultCPUAllocator",
    "std::bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether PyTorch, Python or the system ran out of memory, on any device."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS):
        return True
    return isinstance(error, CLASSES)
