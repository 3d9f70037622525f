"""The layers of darknet networks. Each takes the outputs of earlier layers, (N, C, H, W)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.rotifer.activations import Activation, leaky, leaky_

Pair = tuple[int, int]


class Convolution(nn.Module):
    """A convolution with its bias (batch norm folded into both), then the activation.

    Attributes:
        normalized: whether the weight file holds a batch norm for it.
    """

    def __init__(self, convolution: nn.Conv2d, activation: Activation, *, normalized: bool) -> None:
        super().__init__()
        self.convolution: nn.Module = convolution
        self.activation = activation
        self.normalized = normalized

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, filters, H', W')."""
        x = self.convolution(x)
        # In place where nobody else has the numbers: a pass over new memory less.
        return leaky_(x) if self.activation is leaky else self.activation(x)


class Scale(nn.Module):
    """A lone batch norm at inference: x * weight + bias, both a number a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class MaxPool(nn.Module):
    """Windows of output i begin at ``i * stride - padding // 2``; outside is minus infinity."""

    def __init__(self, size: int, stride: Pair, padding: int) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding

    def extent(self, length: int, stride: int) -> int:
        """Return the output's side for an input side of ``length``."""
        return (length + self.padding - self.size) // stride + 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, extent(H), extent(W)); ``stride`` is (x, y)."""
        left = self.padding // 2
        right = self._after(x.shape[3], self.stride[0])
        bottom = self._after(x.shape[2], self.stride[1])
        if left or right or bottom:
            x = functional.pad(x, (left, right, left, bottom), value=-math.inf)
        return functional.max_pool2d(x, self.size, (self.stride[1], self.stride[0]))

    def _after(self, length: int, stride: int) -> int:
        """Return how many cells the last window reaches beyond the input."""
        last = (self.extent(length, stride) - 1) * stride - self.padding // 2
        return max(0, last + self.size - length)


class AveragePool(nn.Module):
    """The mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, 1, 1)."""
        return x.mean(dim=(2, 3), keepdim=True)


class Upsample(nn.Module):
    """Nearest neighbour times ``scale``; ``reverse`` sums the cells of each block instead."""

    def __init__(self, stride: int, scale: float, *, reverse: bool) -> None:
        super().__init__()
        self.stride, self.scale, self.reverse = stride, scale, reverse

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H * stride, W * stride), or divided by it in reverse."""
        if self.reverse:
            x = functional.avg_pool2d(x, self.stride) * self.stride**2
        else:
            x = functional.interpolate(x, scale_factor=self.stride, mode="nearest")
        return x if self.scale == 1 else x * self.scale


class Route(nn.Module):
    """Channels of several layers one after another; of each only one of ``groups`` parts."""

    def __init__(self, groups: int, group_id: int) -> None:
        super().__init__()
        self.groups, self.group_id = groups, group_id

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map (N, C_i, H, W) to (N, sum of C_i / groups, H, W)."""
        if self.groups > 1:
            inputs = tuple(x.chunk(self.groups, dim=1)[self.group_id] for x in inputs)
        return inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=1)


class Shortcut(nn.Module):
    """The sum of the previous layer and others, then the activation.

    A layer of another shape adds its first channels only; where it is wider every n-th of its
    cells counts, where it is narrower they go to every n-th cell.
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Return x's shape."""
        for other in others:
            x = x + other if other.shape == x.shape else _spread(x, other)
        return self.activation(x)


def _spread(x: Tensor, other: Tensor) -> Tensor:
    take = max(1, other.shape[3] // x.shape[3])
    place = max(1, x.shape[3] // other.shape[3])
    part = other[:, : x.shape[1], ::take, ::take]
    total = x.clone()
    target = total[:, : part.shape[1], ::place, ::place]
    rows, columns = min(part.shape[2], target.shape[2]), min(part.shape[3], target.shape[3])
    target[:, :, :rows, :columns] += part[:, :, :rows, :columns]
    return total


class Product(nn.Module):
    """Elementwise product with another layer, (N, C, H, W) or (N, C, 1, 1), then activation."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Return the larger of both shapes."""
        return self.activation(x * other)


class Reorg(nn.Module):
    """Blocks of cells to channels: (N, C, H, W) to (N, C s^2, H / s, W / s).

    ``flat`` is the order of the original ``[reorg]``: the input's numbers are read as
    (C / s^2, H s, W s) first, and the result as what its shape says.
    """

    def __init__(self, stride: int, *, flat: bool) -> None:
        super().__init__()
        self.stride, self.flat = stride, flat

    def forward(self, x: Tensor) -> Tensor:
        """Return channels ordered by (row in block, column in block, channel)."""
        batch, channels, height, width = x.shape
        s = self.stride
        shape = channels * s * s, height // s, width // s
        if self.flat:
            channels, height, width = channels // s**2, height * s, width * s
        blocks = x.reshape(batch, channels, height // s, s, width // s, s)
        return blocks.permute(0, 3, 5, 1, 2, 4).reshape(batch, *shape)


class Identity(nn.Module):
    """``[dropout]`` and ``[cost]``: nothing at inference, but they keep their index."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x
