"""darknet's activation functions, by the names its ``.cfg`` files use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x itself."""
    return x


def loggy(x: Tensor) -> Tensor:
    """2 / (1 + e^-x) - 1."""
    return 2 * torch.sigmoid(x) - 1


def ramp(x: Tensor) -> Tensor:
    """max(x, 0) + 0.1 x."""
    return torch.relu(x) + 0.1 * x


def plse(x: Tensor) -> Tensor:
    """A sigmoid of three straight pieces: slope 1/8 in [-4, 4], 1/100 outside."""
    outer = 0.01 * (x - 4 * x.sign()) + (x > 0).to(x.dtype)
    return torch.where(x.abs() <= 4, 0.125 * x + 0.5, outer)


def lhtan(x: Tensor) -> Tensor:
    """x in [0, 1], slope 1/1000 outside."""
    return torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x))


def stair(x: Tensor) -> Tensor:
    """Flat from even to odd numbers, slope 1 from odd to even ones."""
    floor = x.floor()
    half = (x / 2).floor()
    return torch.where(floor % 2 == 0, half, (x - floor) + half)


def leaky(x: Tensor) -> Tensor:
    """x above 0, else 0.1 x."""
    return functional.leaky_relu(x, 0.1)


def leaky_(x: Tensor) -> Tensor:
    """The same, written over x."""
    return functional.leaky_relu_(x, 0.1)


def relie(x: Tensor) -> Tensor:
    """x above 0, else 0.01 x."""
    return functional.leaky_relu(x, 0.01)


def swish(x: Tensor) -> Tensor:
    """x / (1 + e^-x)."""
    return functional.silu(x)


ACTIVATIONS: dict[str, Activation] = {
    "linear": linear,
    "leaky": leaky,
    "logistic": torch.sigmoid,
    "loggy": loggy,
    "relu": torch.relu,
    "relie": relie,
    "ramp": ramp,
    "elu": functional.elu,
    "selu": torch.selu,
    "tanh": torch.tanh,
    "plse": plse,
    "hardtan": functional.hardtanh,
    "lhtan": lhtan,
    "stair": stair,
    "swish": swish,
    "mish": functional.mish,
}
