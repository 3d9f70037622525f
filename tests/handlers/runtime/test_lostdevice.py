"""Which errors cost a device its context, by what they say and by what the device says."""

from __future__ import annotations

import pytest
import torch

from handlers.runtime.lostdevice import is_lost, is_lost_on, survives

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def of_code(code: int, text: str) -> torch.AcceleratorError:
    """As PyTorch makes them: with CUDA's number of the error."""
    error = torch.AcceleratorError(f"CUDA error: {text}")
    error.error_code = code  # type: ignore[attr-defined]
    return error


LOST = [
    of_code(710, "device-side assert triggered"),
    of_code(700, "an illegal memory access was encountered"),
    of_code(719, "unspecified launch failure"),
    of_code(214, "uncorrectable ECC error encountered"),
    of_code(702, "the launch timed out and was terminated"),
    of_code(999, "unknown error"),
    of_code(4711, "something that comes with a later CUDA"),
    torch.AcceleratorError("without a number"),
    RuntimeError("in TorchScript interpreter: CUDA error: device-side assert triggered"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
]
KEPT = [
    of_code(2, "out of memory"),
    torch.AcceleratorError("CUDA error: out of memory"),
    of_code(9, "invalid configuration argument"),
    of_code(209, "no kernel image is available for execution on the device"),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
]


class Gpu:
    """What ``torch.cuda`` answers for a GPU that there is not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: str = "") -> None:
        self.broken = broken
        self.calls: list[str] = []
        monkeypatch.setattr(torch.cuda, "synchronize", lambda _: self.called("synchronize"))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: self.called("empty_cache"))

    def called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.broken:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")


@pytest.mark.parametrize("error", LOST, ids=str)
def test_the_context_is_lost(error: Exception) -> None:
    assert is_lost(error)


@pytest.mark.parametrize("error", KEPT, ids=str)
def test_the_context_is_kept(error: Exception) -> None:
    assert not is_lost(error)


def test_an_error_that_a_script_made_of_it() -> None:
    with pytest.raises(ValueError, match="sorry") as caught:
        raise ValueError("sorry") from LOST[0]
    assert is_lost(caught.value)


def test_a_gpu_is_asked_whether_it_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch)
    assert survives(GPU)
    assert gpu.calls == ["synchronize", "empty_cache"]
    assert not is_lost_on(GPU, RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"))


@pytest.mark.parametrize("broken", ["synchronize", "empty_cache"])
def test_what_no_longer_answers_is_lost(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    Gpu(monkeypatch, broken)
    assert not survives(GPU)
    assert is_lost_on(GPU, RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    assert is_lost_on(GPU, torch.OutOfMemoryError("CUDA out of memory"))


def test_a_cpu_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(monkeypatch, broken="synchronize")
    assert survives(CPU)
    assert gpu.calls == []
