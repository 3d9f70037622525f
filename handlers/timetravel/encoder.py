"""A face to its style codes: the pSp encoder, an IR-SE network with a feature pyramid.

Source: E. Richardson et al., "Encoding in Style: a StyleGAN Encoder for
Image-to-Image Translation", CVPR 2021, arXiv:2008.00951. The module layout gives
the same state-dict keys as the published networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# The first 3 codes shape the pose, the next 4 the features, all others the colours.
COARSE, MIDDLE = 3, 7
# Four stages halve the side each; the style blocks halve what is left down to 1.
STAGES = 4
SQUEEZE = 16


@dataclass(frozen=True)
class EncoderSizes:
    """What differs between encoders.

    Attributes:
        channels: planes of the input: 3, or 4 with an age.
        side: the input's height and width.
        widths: channels of the four stages; 64, 128, 256, 512 in the published network.
        units: bottleneck units of each stage; 3, 4, 14, 3 there.
        styles: style codes, one for each of the generator's inputs.
        style_width: numbers in a code.
    """

    channels: int
    side: int
    widths: tuple[int, ...]
    units: tuple[int, ...]
    styles: int
    style_width: int


class SqueezeExcite(nn.Module):
    """Weigh the channels by what the whole map holds (arXiv:1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(channels // SQUEEZE, 1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.fc2 = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale (N, C, h, w) in place."""
        squeezed: Tensor = self.fc1(x.mean((2, 3), keepdim=True))
        weights: Tensor = self.fc2(squeezed.relu())
        return x.mul_(weights.sigmoid())


class Bottleneck(nn.Module):
    """Two 3x3 convolutions beside a shortcut; no activation after the sum."""

    def __init__(self, channels: int, depth: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, depth, 3, padding=1, bias=False),
            nn.PReLU(depth),
            nn.Conv2d(depth, depth, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(depth),
            SqueezeExcite(depth),
        )
        if channels != depth:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels, depth, 1, stride, bias=False), nn.BatchNorm2d(depth)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, h, w) to (N, depth, h / stride, w / stride)."""
        residual: Tensor = self.res_layer(x)
        if hasattr(self, "shortcut_layer"):
            shortcut: Tensor = self.shortcut_layer(x)
            return residual.add_(shortcut)
        return residual.add_(x[:, :, :: self.stride, :: self.stride])


def normal(*shape: int, std: float = 1.0) -> Tensor:
    """Return random numbers to begin training with; on the meta device, where none are, nothing.

    To draw them there would load PyTorch's compiler: a second, and 100 MB for a worker's life.
    """
    values = torch.empty(*shape)
    return values if values.is_meta else values.normal_(std=std)


class EqualLinear(nn.Module):
    """A linear layer whose weights are stored unscaled (equalised learning rate).

    Args:
        rate: learning-rate multiplier; the published mapping networks have 0.01.
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.rate = rate
        self.weight = nn.Parameter(normal(outputs, inputs, std=1 / rate))
        self.bias = nn.Parameter(torch.full((outputs,), bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, outputs)."""
        scale = self.rate / math.sqrt(self.weight.shape[1])
        # Scaling the activations instead of the weights saves a copy of the weights.
        return functional.linear(x * scale, self.weight, self.bias * self.rate)


class StyleBlock(nn.Module):
    """A square map to one style code: strided convolutions down to a single pixel."""

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(side.bit_length() - 1):
            layers += [
                nn.Conv2d(width if index else channels, width, 3, 2, padding=1),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, side, side) to (N, width)."""
        out: Tensor = self.linear(self.convs(x).flatten(1))
        return out


class Encoder(nn.Module):
    """Map a face, with or without a plane that holds an age, to style codes."""

    def __init__(self, sizes: EncoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        first, *_, third, last = sizes.widths
        self.input_layer = nn.Sequential(
            nn.Conv2d(sizes.channels, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.PReLU(first),
        )
        self.body = nn.Sequential(*_units(sizes))
        self.styles = nn.ModuleList(
            StyleBlock(last, sizes.style_width, _map_side(sizes.side, index))
            for index in range(sizes.styles)
        )
        self.latlayer1 = nn.Conv2d(third, last, 1)
        self.latlayer2 = nn.Conv2d(sizes.widths[1], last, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            x: (N, channels, side, side); colours in [-1, 1], the age in hundreds of years.

        Returns:
            (N, styles, style_width).
        """
        fine, middle, coarse = self._maps(x)
        middle = _enlarged(coarse, middle.shape[-1]).add_(self.latlayer1(middle))
        fine = _enlarged(middle, fine.shape[-1]).add_(self.latlayer2(fine))
        codes = [
            block(coarse if index < COARSE else middle if index < MIDDLE else fine)
            for index, block in enumerate(self.styles)
        ]
        return torch.stack(codes, dim=1)

    def _maps(self, x: Tensor) -> list[Tensor]:
        """Return what the second, third and fourth stage end with."""
        x = self.input_layer(x)
        maps, index = [], 0
        for count in self.sizes.units:
            x = self.body[index : index + count](x)
            maps.append(x)
            index += count
        return maps[1:]


def _units(sizes: EncoderSizes) -> list[Bottleneck]:
    units, channels = [], sizes.widths[0]
    for depth, count in zip(sizes.widths, sizes.units, strict=True):
        for position in range(count):
            units.append(Bottleneck(channels, depth, 1 if position else 2))
            channels = depth
    return units


def _map_side(side: int, style: int) -> int:
    """Return the side of the map that a style block reads."""
    smallest = side >> STAGES
    return smallest if style < COARSE else 2 * smallest if style < MIDDLE else 4 * smallest


def _enlarged(x: Tensor, side: int) -> Tensor:
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=True)
