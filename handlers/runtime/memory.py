"""Out of memory, however it is said."""

from __future__ import annotations

import errno

import torch

from handlers.runtime.errors import chain

CLASSES = (torch.OutOfMemoryError, MemoryError)
# What has no class of its own, by the words it is told from other errors, in small letters:
# PyTorch's allocator on the CPU, C++'s, and an error of PyTorch's that another program retold.
WORDS = (
    "defaultcpuallocator",
    "std::bad_alloc",
    "cuda out of memory",
)
# What asks for a GPU's memory past PyTorch's allocator: CUDA itself, its libraries, Triton. cuDNN
# drops each algorithm whose memory it does not get, and has no engine left when it got none; a
# library that cannot even make its handle says that it is not initialized.
OUTSIDE_WORDS = (
    "error: out of memory",
    "error [cuda]: out of memory",
    "ran out of memory outside",
    "allocation failed with oom",
    "_alloc_failed",
    "_allocation_failed",
    "cublas_status_not_initialized",
    "cudnn_status_not_initialized",
    "unable to find an engine",
    "unable to find a valid cudnn algorithm",
    "no valid execution plans",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether PyTorch, Python or the system ran out of memory, on any device.

    An error that was raised because of such a one counts, too.
    """
    return any(map(_says_so, chain(error)))


def is_outside_allocator(error: BaseException) -> bool:
    """Tell whether a GPU's memory was short for others than PyTorch.

    Before it gives up, PyTorch's allocator lets go of what it keeps for later. It knows nothing
    of the others: for them, that memory is missing.
    """
    return any(_has(one, OUTSIDE_WORDS) for one in chain(error))


def _says_so(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, CLASSES) or _has(error, WORDS) or _has(error, OUTSIDE_WORDS)


def _has(error: BaseException, words: tuple[str, ...]) -> bool:
    if not isinstance(error, RuntimeError):
        return False
    said = str(error).lower()
    return any(word in said for word in words)
