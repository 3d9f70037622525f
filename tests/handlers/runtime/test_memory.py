"""Every way in which a shortage of memory is said."""

from __future__ import annotations

import errno

import pytest
import torch

from handlers.runtime.memory import is_out_of_memory, is_outside_allocator

OF_PYTORCH = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("The following operation failed in TorchScript: CUDA out of memory. Tried"),
]
OF_OTHERS = [
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("CUDA ran out of memory outside PyTorch's allocator. If this workload"),
]
NOT = [
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"),
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    ValueError("CUDA out of memory"),
    OSError(errno.ENOENT, "No such file"),
]


def name(error: Exception) -> str:
    return f"{type(error).__name__} {error}"[:70]


@pytest.mark.parametrize("error", OF_PYTORCH, ids=name)
def test_pytorchs_own(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_outside_allocator(error)


@pytest.mark.parametrize("error", OF_OTHERS, ids=name)
def test_that_of_libraries_on_a_gpu(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert is_outside_allocator(error)


@pytest.mark.parametrize("error", NOT, ids=name)
def test_other_errors(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_an_error_that_was_made_of_it() -> None:
    told = ValueError("the model failed")
    told.__cause__ = MemoryError()
    assert is_out_of_memory(told)
