"""Each layer against its definition, written out as loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from handlers.rotifer.activations import ACTIVATIONS
from handlers.rotifer.layers import (
    AveragePool,
    MaxPool,
    Product,
    Reorg,
    Route,
    Shortcut,
    Upsample,
)
from handlers.rotifer.weights import load_weights
from tests.handlers.rotifer.support import built, random_weights

POINTS = (-7.3, -4.0, -3.5, -2.2, -1.0, -0.3, 0.0, 0.4, 1.0, 1.7, 2.5, 3.0, 4.0, 5.9)


def stair(x: float) -> float:
    whole = math.floor(x)
    return math.floor(x / 2) if whole % 2 == 0 else (x - whole) + math.floor(x / 2)


def plse(x: float) -> float:
    if x < -4:
        return 0.01 * (x + 4)
    return 0.01 * (x - 4) + 1 if x > 4 else 0.125 * x + 0.5


def lhtan(x: float) -> float:
    if x < 0:
        return 0.001 * x
    return 0.001 * (x - 1) + 1 if x > 1 else x


def selu(x: float) -> float:
    return 1.0507 * x if x >= 0 else 1.0507 * 1.6732 * (math.exp(x) - 1)


DEFINITIONS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "leaky": lambda x: x if x > 0 else 0.1 * x,
    "logistic": lambda x: 1 / (1 + math.exp(-x)),
    "loggy": lambda x: 2 / (1 + math.exp(-x)) - 1,
    "relu": lambda x: max(x, 0),
    "relie": lambda x: x if x > 0 else 0.01 * x,
    "ramp": lambda x: max(x, 0) + 0.1 * x,
    "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
    "selu": selu,
    "tanh": math.tanh,
    "plse": plse,
    "hardtan": lambda x: min(max(x, -1), 1),
    "lhtan": lhtan,
    "stair": stair,
    "swish": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    found = ACTIVATIONS[name](torch.tensor(POINTS))
    wanted = [DEFINITIONS[name](x) for x in torch.tensor(POINTS).tolist()]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(2, 2, 1), (2, 1, 1), (5, 1, 4), (9, 1, 8), (13, 1, 12), (3, 2, 2), (3, 3, 0), (2, 2, 0)],
)
def test_maxpool(size: int, stride: int, padding: int) -> None:
    x = torch.randn(1, 2, 7, 10)
    layer = MaxPool(size, (stride, stride), padding)
    found = layer(x)
    rows, columns = layer.extent(7, stride), layer.extent(10, stride)
    assert found.shape == (1, 2, rows, columns)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride - padding // 2, column * stride - padding // 2
            window = x[:, :, max(0, top) : top + size, max(0, left) : left + size]
            assert torch.equal(found[:, :, row, column], window.amax((2, 3)))


def test_upsample_and_its_reverse() -> None:
    x = torch.randn(1, 2, 2, 4)
    wide = Upsample(2, 3.0, reverse=False)(x)
    assert torch.equal(wide[0, 0, 3], 3 * x[0, 0, 1].repeat_interleave(2))
    summed = Upsample(2, 1.0, reverse=True)(x)
    torch.testing.assert_close(summed[0, 1, 0, 1], x[0, 1, :, 2:4].sum())


def test_route_takes_one_group_of_each() -> None:
    one, other = torch.randn(1, 4, 2, 2), torch.randn(1, 6, 2, 2)
    assert torch.equal(Route(1, 0)(one, other), torch.cat([one, other], 1))
    assert torch.equal(Route(2, 1)(one, other), torch.cat([one[:, 2:], other[:, 3:]], 1))


def test_shortcut_adds_and_activates() -> None:
    one, other, third = torch.randn(3, 1, 2, 4, 4)
    found = Shortcut(torch.relu)(one, other, third)
    assert torch.equal(found, torch.relu(one + other + third))


@pytest.mark.parametrize("shape", [(5, 8, 8), (2, 8, 8), (4, 2, 2), (6, 16, 16)])
def test_shortcut_of_unequal_shapes(shape: tuple[int, int, int]) -> None:
    x, other = torch.randn(1, 3, 4, 4), torch.randn(1, *shape)
    take, place = max(1, shape[2] // 4), max(1, 4 // shape[2])
    wanted = x.clone()
    for k in range(min(3, shape[0])):
        for j in range(min(4, shape[1])):
            for i in range(min(4, shape[2])):
                wanted[0, k, j * place, i * place] += other[0, k, j * take, i * take]
    torch.testing.assert_close(Shortcut(lambda y: y)(x, other), wanted)


@pytest.mark.parametrize("stride", [2, 3])
def test_reorg_in_the_original_order(stride: int) -> None:
    channels, height, width = 2 * stride**2, 2 * stride, 3 * stride
    x = torch.randn(1, channels, height, width)
    flat, wanted = x.flatten(), torch.zeros(x.numel())
    few = channels // stride**2
    for k in range(channels):
        block = k // few
        for j in range(height):
            for i in range(width):
                across = i * stride + block % stride
                down = j * stride + block // stride + height * stride * (k % few)
                wanted[i + width * (j + height * k)] = flat[across + width * stride * down]
    shape = channels * stride**2, height // stride, width // stride
    assert torch.equal(Reorg(stride, flat=True)(x)[0], wanted.view(shape))


def test_reorg3d_moves_blocks_to_channels() -> None:
    x = torch.randn(1, 3, 4, 6)
    found = Reorg(2, flat=False)(x)
    assert found.shape == (1, 12, 2, 3)
    assert torch.equal(found[0, 3 * 3 + 1], x[0, 1, 1::2, 1::2])
    assert torch.equal(found[0, 3 * 1 + 2], x[0, 2, 0::2, 1::2])


def test_avgpool_and_products() -> None:
    x = torch.randn(1, 3, 4, 4)
    mean = AveragePool()(x)
    torch.testing.assert_close(mean[0, :, 0, 0], x.mean((2, 3))[0])
    assert torch.equal(Product(lambda y: y)(mean, x), mean * x)


def naive_convolution(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Cross-correlation over zero padding, one output cell after another."""
    size = weight.shape[2]
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    extent = (x.shape[2] + 2 * padding - size) // stride + 1
    found = torch.zeros(len(weight), extent, extent, dtype=torch.float64)
    for row in range(extent):
        for column in range(extent):
            top, left = row * stride, column * stride
            window = padded[0, :, top : top + size, left : left + size]
            found[:, row, column] = (window * weight).sum((1, 2, 3))
    return found


@pytest.mark.parametrize(
    ("options", "stride", "padding", "size"),
    [("size=3\npad=1\nstride=2", 2, 1, 3), ("size=2\npadding=1", 1, 1, 2), ("size=1", 1, 0, 1)],
)
def test_convolution_with_batch_norm(
    tmp_path: Path, options: str, stride: int, padding: int, size: int
) -> None:
    text = f"[convolutional]\nbatch_normalize=1\nfilters=6\n{options}\nactivation=linear\n"
    network = built(text + "[yolo]\nanchors=1,2\nclasses=1\n", 8, 8)
    path = random_weights(network, tmp_path / "w.weights")
    load_weights(network.named_layers(), path)
    numbers = torch.from_numpy(np.fromfile(path, "<f4", offset=20)).double()
    bias, scale, mean, variance = numbers[:24].view(4, 6, 1, 1)
    x = torch.rand(1, 3, 8, 8)
    raw = naive_convolution(x.double(), numbers[24:].view(6, 3, size, size), stride, padding)
    wanted = (raw - mean) / (variance.sqrt() + 1e-6) * scale + bias
    torch.testing.assert_close(network.layers[0](x)[0].double(), wanted, rtol=1e-5, atol=1e-5)


def test_dilation_and_groups_keep_the_size(tmp_path: Path) -> None:
    text = "[convolutional]\nfilters=6\ngroups=3\nsize=3\npad=1\ndilation=2\nactivation=linear\n"
    network = built(text + "[yolo]\nanchors=1,2\nclasses=1\n", 8, 8)
    load_weights(network.named_layers(), random_weights(network, tmp_path / "w.weights"))
    assert network(torch.rand(1, 3, 8, 8))[0].shape == (1, 6, 8, 8)


def test_a_lone_batchnorm_has_no_bias(tmp_path: Path) -> None:
    text = "[batchnorm]\n[convolutional]\nfilters=6\n[yolo]\nanchors=1,2\nclasses=1\n"
    network = built(text, 4, 4)
    path = random_weights(network, tmp_path / "w.weights")
    load_weights(network.named_layers(), path)
    scale, mean, variance = torch.from_numpy(np.fromfile(path, "<f4", 9, offset=20)).view(3, 3)
    x = torch.rand(1, 3, 4, 4)
    wanted = (x - mean[:, None, None]) / variance.sqrt()[:, None, None] * scale[:, None, None]
    torch.testing.assert_close(network.layers[0](x), wanted, rtol=1e-4, atol=1e-5)
