"""Where a network runs. The GPU is a fake: its tensors have a device and a type, and no numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from handlers.runtime import gpu
from handlers.runtime.device import DeviceError, Placement, place, to_host
from handlers.runtime.settings import SettingsError

GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    yield
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two GPUs that work; returns what ``set_device`` was called with."""
    calls: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: Works())
    return calls


class Works:
    """What comes of the first sum on a GPU that works."""

    def add_(self, _: int) -> Works:
        return self

    def item(self) -> float:
        return 2.0


def test_the_usual_layout_is_channels_last() -> None:
    placement = place(None, "fp32")
    network = placement.network(nn.Conv2d(3, 4, 3))
    (weight, _) = network.parameters()
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert placement.batch([torch.rand(3, 5, 6)]).is_contiguous(memory_format=torch.channels_last)


def test_a_network_that_has_its_layout_is_not_copied() -> None:
    placement = place(None, "fp32", torch.contiguous_format)
    network = nn.Conv2d(3, 4, 3)
    before = network.weight.data_ptr()
    placement.network(network)
    assert network.weight.data_ptr() == before
    assert placement.batch([torch.rand(3, 5, 6)]).is_contiguous()


def test_the_gpu_that_was_given_is_this_threads(chosen: list[torch.device]) -> None:
    assert place(1, "bf16") == Placement(torch.device("cuda", 1), torch.bfloat16)
    assert chosen == [torch.device("cuda", 1)]


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_fp32_means_fp32(chosen: list[torch.device], precision: str, tf32: bool) -> None:
    place(0, precision)
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32


@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize("wanted", ["assigned", "gpu", "any"])
def test_a_gpu_that_works_is_used(wanted: str) -> None:
    assert place(0, "fp32", wanted=wanted).device == GPU


@pytest.mark.usefixtures("chosen")
def test_the_cpu_where_it_is_wanted() -> None:
    assert place(0, "fp32", wanted="cpu").device.type == "cpu"


@pytest.mark.parametrize("wanted", ["assigned", "gpu"])
def test_a_gpu_that_does_not_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str
) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\nGCC")
    monkeypatch.setattr(gpu, "DRIVER", driver)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    def too_old(*_: object, **__: object) -> Tensor:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).")

    monkeypatch.setattr(torch, "ones", too_old)
    words = (
        rf"GPU 0, which cannot be used: The NVIDIA driver on your system is too old \(found "
        rf"version 12020\)\. \(NVIDIA driver 535\.104\.05, PyTorch {torch.__version__} built for "
        r"(no )?CUDA.*\); mend that, or set marquee.device to any or cpu"
    ).replace("+", r"\+")
    with pytest.raises(DeviceError, match=words):
        place(0, "fp32", wanted=wanted)


def test_a_gpu_that_does_not_work_may_be_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("handlers.runtime.device.why_unusable", lambda _: "it is broken")
    with caplog.at_level(logging.WARNING):
        assert place(0, "fp32", wanted="any").device.type == "cpu"
    assert "GPU 0 cannot be used, the CPU is: it is broken" in caplog.text


def test_a_number_that_no_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpu.why_unusable(1) == "CUDA shows 1 (CUDA_VISIBLE_DEVICES is '3')"


def test_a_pytorch_for_cpus_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(gpu, "DRIVER", Path("/nowhere"))
    assert gpu.why_unusable(0) == "this PyTorch was built without CUDA"
    assert "NVIDIA driver not found, PyTorch" in gpu.versions()
    assert gpu.versions().endswith("built for no CUDA")


def test_without_a_gpu_one_that_is_wanted_is_missed() -> None:
    assert place(None, "fp32", wanted="any").device.type == "cpu"
    with pytest.raises(DeviceError, match="device is gpu, and TorchServe gave this worker none"):
        place(None, "fp32", wanted="gpu")


def test_half_precision_is_for_gpus() -> None:
    assert place(None, "fp32").device.type == "cpu"
    with pytest.raises(SettingsError, match="needs a GPU"):
        place(None, "fp16")


class Transfers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what crosses from one device to another, and from which kind of memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pinned: list[bool] = []
        self.crossed: list[tuple[str, torch.dtype, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("pin_memory"):
            self.pinned.append(True)
        to = kwargs.get("device")
        if to is not None and args and isinstance(args[0], Tensor) and args[0].device != to:
            self.crossed.append((to.type, args[0].dtype, kwargs.get("non_blocking", False)))
        return func(*args, **kwargs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_pictures_cross_the_bus_in_their_own_type(dtype: torch.dtype) -> None:
    placement, transfers = Placement(GPU, dtype), Transfers()
    with FakeTensorMode(), transfers, torch.inference_mode():
        pictures = placement.batch([torch.zeros(3, 8, 6, dtype=torch.uint8)] * 2)
        numbers = placement.batch([torch.zeros(3, 8, 6)] * 2)
    assert (pictures.dtype, pictures.device) == (torch.uint8, GPU)
    assert (numbers.dtype, numbers.device) == (dtype, GPU)
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    assert transfers.pinned == [True, True]
    assert transfers.crossed == [("cuda", torch.uint8, True), ("cuda", torch.float32, True)]


def test_outputs_come_back_side_by_side_and_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    transfers = Transfers()
    with FakeTensorMode(), transfers:
        output = {"a": torch.zeros(2, device=GPU, dtype=torch.float16), "b": [torch.zeros(2)]}
        host = to_host(output)
    assert host["a"].device.type == host["b"][0].device.type == "cpu"
    assert host["a"].dtype == torch.float32
    assert transfers.crossed == [("cpu", torch.float32, True)]
    assert waited == [GPU]
