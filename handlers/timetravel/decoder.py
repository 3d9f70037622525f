"""Style codes to a face: StyleGAN2's generator, in plain tensor operations.

Source: T. Karras et al., "Analyzing and Improving the Image Quality of StyleGAN",
CVPR 2020, arXiv:1912.04958, written from the paper's formulas. The module layout gives
the same state-dict keys as the published PyTorch generators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.timetravel.encoder import EqualLinear, normal

EPS = 1e-8
SLOPE = 0.2
GAIN = math.sqrt(2)
MAPPING_RATE = 0.01


@dataclass(frozen=True)
class DecoderSizes:
    """What differs between generators.

    Attributes:
        style_width: numbers in a style code.
        channels: channels at 4x4, 8x8, ... up to the full size; the published generator
            has 512 up to 64x64, then 256, 128, 64, 32 at 1024x1024.
        mapping_layers: depth of the mapping network, which ageing itself never runs.
    """

    style_width: int
    channels: tuple[int, ...]
    mapping_layers: int

    @property
    def side(self) -> int:
        """Height and width of the picture."""
        return 2 << len(self.channels)

    @property
    def styles(self) -> int:
        """How many codes the generator takes."""
        return 2 * len(self.channels)


class PixelNorm(nn.Module):
    """Bring each vector to unit mean square."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) to the same shape."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPS)


class MappingLayer(EqualLinear):
    """One layer of the mapping network."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, rate=MAPPING_RATE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) to the same shape."""
        return _activated(super().forward(x))


class Constant(nn.Module):
    """The learned 4x4 map that every picture starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(normal(1, channels, 4, 4))


class Kernel(nn.Module):
    """The [1, 3, 3, 1] low-pass kernel.

    It sums to 4, since three of four samples that it meets were inserted as zeros.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = (1.0, 3.0, 3.0, 1.0)
        kernel = torch.tensor([[one * other / 16 for other in taps] for one in taps])
        self.register_buffer("kernel", kernel)

    def blur(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Filter (N, C, 2h + 1, 2w + 1), zeros around it, to (N, C, 2h, 2w), and add (C,)."""
        channels = x.shape[1]
        return functional.conv2d(x, self._for(channels), bias, padding=1, groups=channels)

    def enlarge(self, x: Tensor) -> Tensor:
        """Insert zeros between the pixels of (N, C, h, w) and filter: (N, C, 2h, 2w).

        The transposed convolution is that in one step: two zeros before and one after the
        inserted picture are one pixel cut from each side of its full result.
        """
        channels = x.shape[1]
        kernel = self._for(channels)
        return functional.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)

    def _for(self, channels: int) -> Tensor:
        return self.kernel.expand(channels, 1, 4, 4)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style.

    The paper scales the weights W by the style s, then each output channel to unit norm. Since
    a convolution is linear, scaling its input by s and its output by the norm's inverse is the
    same, and needs no weights of its own for each picture of a batch. A picture alone has far
    more numbers than W at the large sizes, where the time goes: for it W is scaled.
    """

    energy: Tensor | None

    def __init__(
        self, channels: int, out: int, size: int, style_width: int, *, upsample: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(1, out, channels, size, size))
        self.modulation = EqualLinear(style_width, channels, bias=1.0)
        self.register_buffer("energy", None, persistent=False)
        if upsample:
            self.blur = Kernel()

    def forward(self, x: Tensor, style: Tensor, bias: Tensor, gain: float | None = None) -> Tensor:
        """Convolve (N, C, h, w) by styles (N, style_width).

        Args:
            x: (N, C, h, w).
            style: (N, style_width).
            bias: (out,), added to the result.
            gain: norm that each output channel's weights are brought to; none leaves them as
                the style makes them.

        Returns:
            (N, out, h, w), or doubled.
        """
        scale = self.modulation(style) / math.sqrt(self.weight[0, 0].numel())  # (N, C)
        norm = None if gain is None else self._norm(scale) * gain  # (N, out)
        if len(x) == 1:
            each = scale if norm is None else norm.T * scale  # (1 or out, C)
            return self._convolve(x, self.weight[0] * each[:, :, None, None], bias)
        out = self._convolve(x * scale[:, :, None, None], self.weight[0])
        if norm is not None:
            out = out.mul_(norm[:, :, None, None])
        return out.add_(bias[:, None, None])

    def fix(self) -> None:
        """Keep what depends on the weights alone, which must not change from now on."""
        with torch.no_grad():
            self.energy = self._energy()

    def _energy(self) -> Tensor:
        """Return the sums over k of W^2: (out, C), in float32 at least."""
        precise = torch.promote_types(self.weight.dtype, torch.float32)
        return self.weight[0].to(precise).square().sum((2, 3))

    def _norm(self, scale: Tensor) -> Tensor:
        """Return the inverse norms (N, out) of the weights scaled by (N, C)."""
        precise = torch.promote_types(scale.dtype, torch.float32)
        energy = self._energy() if self.energy is None else self.energy
        squares = scale.to(precise).square() @ energy.to(precise).T
        return torch.rsqrt(squares + EPS).to(scale.dtype)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if hasattr(self, "blur"):
            doubled = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            return self.blur.blur(doubled, bias)
        return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


class Noise(nn.Module):
    """How strongly a layer's noise map shows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Activation(nn.Module):
    """The bias before a leaky ReLU and a gain that keeps the variance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class StyledConv(nn.Module):
    """A modulated 3x3 convolution, noise and activation.

    The gain after the leaky ReLU might as well stand before it. There it is a factor of the
    weights, the bias and the noise, and costs no pass over the picture.
    """

    def __init__(
        self, channels: int, out: int, style_width: int, *, upsample: bool = False
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, out, 3, style_width, upsample=upsample)
        self.noise = Noise()
        self.activate = Activation(out)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, out, h, w), or doubled; ``noise`` is (1, 1, h, w)."""
        out: Tensor = self.conv(x, style, self.activate.bias * GAIN, GAIN)
        out = out.add_(noise * (self.noise.weight * GAIN))
        return functional.leaky_relu_(out, SLOPE)


class ToRGB(nn.Module):
    """What a resolution adds to the picture."""

    def __init__(self, channels: int, style_width: int, *, upsample: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, 3, 1, style_width)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if upsample:
            self.upsample = Kernel()

    def forward(self, x: Tensor, style: Tensor, smaller: Tensor | None = None) -> Tensor:
        """Return (N, 3, h, w) from features (N, C, h, w) and the picture so far, half the size."""
        rgb: Tensor = self.conv(x, style, self.bias.flatten())
        return rgb if smaller is None else rgb.add_(self.upsample.enlarge(smaller))


class Decoder(nn.Module):
    """The generator, from style codes (w+) and its stored noise maps."""

    def __init__(self, sizes: DecoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, channels = sizes.style_width, sizes.channels
        layers = (MappingLayer(width) for _ in range(sizes.mapping_layers))
        self.style = nn.Sequential(PixelNorm(), *layers)
        self.input = Constant(channels[0])
        self.conv1 = StyledConv(channels[0], channels[0], width)
        self.to_rgb1 = ToRGB(channels[0], width, upsample=False)
        self.convs = nn.ModuleList(_pairs(channels, width))
        self.to_rgbs = nn.ModuleList(ToRGB(count, width) for count in channels[1:])
        self.noises = nn.Module()
        for index in range(sizes.styles - 1):
            side = 2 ** ((index + 5) // 2)
            self.noises.register_buffer(f"noise_{index}", normal(1, 1, side, side))

    def forward(self, codes: Tensor) -> Tensor:
        """Paint a batch of faces.

        Args:
            codes: (N, styles, style_width).

        Returns:
            (N, 3, side, side) RGB, about [-1, 1], not clamped.
        """
        # The libraries for CPUs are faster with a pixel's channels side by side, above all at the
        # blurs; every layer keeps the layout that it is given.
        on_cpu = codes.device.type == "cpu"
        layout = torch.channels_last if on_cpu else torch.contiguous_format
        x = self.input.input.expand(len(codes), -1, -1, -1).contiguous(memory_format=layout)
        x = self.conv1(x, codes[:, 0], self._noise(0))
        rgb: Tensor = self.to_rgb1(x, codes[:, 1])
        # A picture's last code is the next resolution's first.
        for index, to_rgb in enumerate(self.to_rgbs):
            for layer in (2 * index, 2 * index + 1):
                x = self.convs[layer](x, codes[:, layer + 1], self._noise(layer + 1))
            rgb = to_rgb(x, codes[:, 2 * index + 3], rgb)
        return rgb

    def fix(self) -> None:
        """Compute once what depends on the weights alone, which must not change from now on."""
        for layer in (self.conv1, *self.convs):
            cast(StyledConv, layer).conv.fix()

    def _noise(self, index: int) -> Tensor:
        return self.noises.get_buffer(f"noise_{index}")


def _pairs(channels: Sequence[int], width: int) -> list[StyledConv]:
    layers = []
    for smaller, larger in pairwise(channels):
        layers += [
            StyledConv(smaller, larger, width, upsample=True),
            StyledConv(larger, larger, width),
        ]
    return layers


def _activated(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE) * GAIN
