"""The U-Net that finds smoke in six satellite bands, one probability a pixel.

The network of NASA-IMPACT/pixel-detector: three levels of 24 channels down and up. Layers
stand in the order of the original's file, so that its weights go in one after the other.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.runtime.weights import fit_state, read_state

BANDS = 6
TILE = 256
STRIDE = 16  # four poolings: sides must be multiples of this
WIDTH = 24
JOINED = 32  # channels of the convolution behind each concatenation
EPS = 1e-3  # Keras' default, a hundred times PyTorch's
# Bands without data (-9999) grow to 2e6 inside, and fp16 ends at 65504. So much smaller they fit
# with room for other weights; what lies below fp16's normal numbers, 6e-5, was under 0.06.
HALF_SCALE = 2.0**-10
# Keras keeps 0.01 of the old statistics; PyTorch's momentum is the share of the new ones.
MOMENTUM = 0.99


class NormConv(nn.Module):
    """Batch norm, *then* 3x3 convolution and ReLU: (N, C, H, W) to (N, out, H, W)."""

    # What the norm's shift adds by way of each of the kernel's cells, once it is folded.
    shift: Tensor | None

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm2d(channels, eps=EPS, momentum=MOMENTUM)
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.register_buffer("shift", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, convolve, cut off below zero."""
        x = self.conv(self.norm(x))
        if self.shift is not None:
            _take_from_border(x, self.shift)
        return functional.relu_(x)

    def fold(self) -> None:
        """Let the convolution do the norm's work; the weights must not change from now on."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        factor, shift = _as_line(norm)
        kernel = self.conv.weight.data.double()
        added = torch.einsum("oihw,i->ohw", kernel, shift)
        self.conv.weight.data = (kernel * factor[:, None, None]).float()
        self.conv.get_parameter("bias").data += added.sum((1, 2)).float()
        self.norm, self.shift = nn.Identity(), added.float()


def _as_line(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return factor and shift (C,) of a norm with fixed statistics, in double precision."""
    variance = norm.get_buffer("running_var").double()
    factor = norm.weight.data.double() / (variance + norm.eps).sqrt()
    return factor, norm.bias.data.double() - norm.get_buffer("running_mean").double() * factor


def _take_from_border(x: Tensor, shift: Tensor) -> None:
    """Take ``shift`` (out, 3, 3) off (N, out, H, W) where the kernel's cells lie outside.

    There the norm's output was padded with zeros: nothing was shifted.
    """
    edges = (0, 0), (-1, 2)  # of the picture, and which of the kernel's rows lies outside there
    for row, above in edges:
        x[:, :, row] -= shift[:, above].sum(1)[:, None]
        x[:, :, :, row] -= shift[:, :, above].sum(1)[:, None]
        for column, beside in edges:
            x[:, :, row, column] += shift[:, above, beside]  # taken off twice


class NormUp(nn.Module):
    """Batch norm, then 3x3 transposed convolution and ReLU: (N, C, H, W) to (N, C, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=EPS, momentum=MOMENTUM)
        self.conv = nn.ConvTranspose2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Keras' "same" is 2n + 1 with the last row and column cut off; padding=1 is not."""
        return functional.relu(self.conv(self.norm(x))[..., :-1, :-1])


class Down(nn.Module):
    """Two convolutions to the skip connection, then one more and a pooling."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = NormConv(WIDTH, WIDTH)
        self.third = NormConv(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what goes down (N, 24, H/2, W/2), and the skip (N, 24, H, W)."""
        skip: Tensor = self.second(self.first(x))
        return functional.max_pool2d(self.third(skip), 2), skip


class Up(nn.Module):
    """Twice the size of what comes from below, joined with the skip of that size."""

    def __init__(self) -> None:
        super().__init__()
        self.up = NormUp(WIDTH)
        self.first = NormConv(2 * WIDTH, JOINED)
        self.second = NormConv(JOINED, WIDTH)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, 24, H, W) and (N, 24, 2H, 2W) to (N, 24, 2H, 2W)."""
        joined: Tensor = self.second(self.first(torch.cat([self.up(x), skip], dim=1)))
        return joined


class SmokeNet(nn.Module):
    """Six bands to the probability of smoke.

    In: (N, 6, H, W), sides multiples of 16, ABI bands 1 to 6 as numbers 0 to 255, not
    normalised. Out: (N, 1, H, W) in [0, 1].

    Attributes:
        scale: of all numbers inside; 1 unless they would leave half precision's range.
    """

    scale = 1.0

    def __init__(self) -> None:
        super().__init__()
        # No norm before the very first convolution: it sees the numbers as they are.
        first = nn.Sequential(nn.Conv2d(BANDS, WIDTH, 3, padding=1), nn.ReLU())
        self.down = nn.ModuleList([Down(first), *(Down(NormConv(WIDTH, WIDTH)) for _ in range(3))])
        self.middle = nn.Sequential(NormConv(WIDTH, WIDTH), NormConv(WIDTH, WIDTH))
        self.up = nn.ModuleList([Up() for _ in range(4)])
        self.out = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities, float32 at least; NaN where half precision had no room."""
        scores = self.logits(x)
        # An infinity would come out of the sigmoid as a plausible 0 or 1.
        return torch.sigmoid(scores.masked_fill(~scores.isfinite(), math.nan))

    def logits(self, x: Tensor) -> Tensor:
        """Return what the sigmoid gets; training wants it without."""
        own = self.out.weight.dtype
        precise = torch.promote_types(own, torch.float32)
        x = x.to(own) if self.scale == 1 else (x.to(precise) * self.scale).to(own)
        skips = []
        for down in self.down:
            x, skip = down(x)
            skips.append(skip)
        x = self.middle(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(x, skip)
        scores: Tensor = self.out(x)
        return scores.to(precise) / self.scale

    def fold(self) -> None:
        """Fold the norms into the convolutions that follow, float32: a quarter of the time.

        Those before transposed convolutions stay: what their shift adds is not the same in every
        pixel. The answer moves by rounding; the weights must not change from now on.
        """
        for module in self.modules():
            if isinstance(module, NormConv):
                module.fold()

    def scale_down(self, scale: float = HALF_SCALE) -> None:
        """Compute with numbers ``scale`` times as large; the answer stays what it is.

        Convolutions, ReLUs, poolings and norms with fixed statistics let a factor of their input
        through when what they add is multiplied by it as well. A power of two changes no digit.
        """
        self.scale *= scale
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.get_buffer("running_mean").mul_(scale)
            if isinstance(module, (nn.BatchNorm2d, nn.Conv2d, nn.ConvTranspose2d)):
                module.get_parameter("bias").data.mul_(scale)


def load_network(path: Path) -> SmokeNet:
    """Read the network from a state dict, on the CPU, in evaluation mode.

    Raises:
        WeightsError: the file cannot be read or does not fit, key for key.
    """
    network = SmokeNet()
    fit_state(network, read_state(path, network.state_dict()), path)
    return network.eval()
