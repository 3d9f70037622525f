"""Networks on a fake GPU, whose tensors have a device and a type but no numbers.

What PyTorch refuses there, it refuses on a real one: a tensor that stayed on the CPU, two types in
one operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from handlers.inkwash import handler as inkwash
from handlers.inkwash.model import Generator
from handlers.runtime.device import Placement
from handlers.runtime.handler import VisionHandler
from handlers.runtime.parts import PIXELS_ON_GPU
from handlers.smoke.handler import SmokeHandler
from handlers.smoke.model import SmokeNet

GPU = torch.device("cuda", 0)
FORMATS = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def _no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inkwash, "check_finite", lambda output, dtype: None)


def on_gpu(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Move a network whose tensors are fake, which ``nn.Module.to`` cannot."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(parameter.to(GPU, dtype), requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point():  # not a norm's counter, which only training reads
                setattr(module, name, buffer.to(GPU, dtype))
    return network


def forward(
    handler: VisionHandler, make: Callable[[], nn.Module], dtype: torch.dtype, items: list[Tensor]
) -> tuple[Tensor, list[tuple[int, ...]]]:
    """Run a handler's ``forward`` there; return what it gives and the shapes its network got."""
    shapes: list[tuple[int, ...]] = []
    handler.placement = Placement(GPU, dtype)
    handler.network = on_gpu(make().eval(), dtype)

    def note(module: nn.Module, inputs: Any) -> None:
        shapes.append(tuple(inputs[0].shape))

    first = next(m for m in handler.network.modules() if isinstance(m, nn.Conv2d))
    first.register_forward_pre_hook(note)
    output: Tensor = handler.forward(handler.placement.batch(items))
    return output, shapes


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(
    ("count", "size", "passes"),
    [
        (3, (64, 70), [3]),  # together
        (2, (1200, 1400), [2]),
        (3, (1200, 1400), [2, 1]),  # as many as a pass holds
        (1, (4100, 4200), None),  # in tiles
    ],
)
def test_inkwash(
    dtype: torch.dtype, count: int, size: tuple[int, int], passes: list[int] | None
) -> None:
    handler = inkwash.InkwashHandler()
    with FakeTensorMode(), torch.inference_mode():
        photos = [torch.zeros(3, *size, dtype=torch.uint8) for _ in range(count)]
        output, shapes = forward(handler, lambda: Generator(ngf=4, blocks=2), dtype, photos)
    high, wide = (-(-side // 4) * 4 for side in size)
    assert (output.shape, output.dtype) == ((count, 3, high, wide), torch.uint8)
    assert output.device == GPU
    assert all(n * h * w <= PIXELS_ON_GPU * 1.02 for n, _, h, w in shapes)
    if passes is None:
        assert max(n for n, *_ in shapes[1:]) > 1
    else:
        assert [n for n, *_ in shapes] == passes


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("sent", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("count", "size"), [(3, (256, 256)), (2, (1500, 1111))])
def test_smoke(dtype: torch.dtype, sent: torch.dtype, count: int, size: tuple[int, int]) -> None:
    def make() -> SmokeNet:
        network = SmokeNet()
        if dtype == torch.float16:
            network.scale_down()
        return network

    handler = SmokeHandler()
    with FakeTensorMode(), torch.inference_mode():
        scenes = [torch.zeros(6, *size, dtype=sent) for _ in range(count)]
        output, shapes = forward(handler, make, dtype, scenes)
    assert (output.shape, output.dtype) == ((count, 1, *size), torch.float32)
    assert output.device == GPU
    assert all(n == count for n, *_ in shapes)
    assert all(n * h * w <= PIXELS_ON_GPU for n, _, h, w in shapes)
