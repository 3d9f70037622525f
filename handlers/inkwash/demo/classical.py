"""An ink-wash rendering by classical filters: the teacher of the demo weights.

Brush strokes: Kuwahara's filter in the form of Papari, Petkov and Campisi,
"Artistic edge and corner enhancing smoothing", IEEE TIP 16(10), 2007.
Lines: flow-guided difference of Gaussians, Kang, Lee and Chui, "Flow-based image
abstraction", IEEE TVCG 15(1), 2009; soft threshold as in Winnemöller, "XDoG", NPAR 2011.

Pictures are float32 tensors; a grey one is (1, 1, H, W) with 0 black and 1 white.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

PAPER = (0.960, 0.936, 0.878)
INK = (0.070, 0.072, 0.090)
SECTORS = 8
WASHES = 5


def ink_wash(photo: Tensor) -> Tensor:
    """Render a photograph as an ink-wash painting.

    Args:
        photo: (3, H, W) RGB in [0, 1], at least 32 pixels a side.

    Returns:
        (3, H, W) RGB in [0, 1], between the paper's colour and the ink's.
    """
    grey = balance(luminance(photo))
    strokes = kuwahara(grey, radius=4)
    wash = washes(tone(strokes, blur(grey, 16.0)))
    ink = 1 - (1 - wash) * (1 - 0.95 * lines(grey))
    return colour(granulate(ink, grey))


def luminance(photo: Tensor) -> Tensor:
    """Weigh (3, H, W) RGB to (1, 1, H, W) by Rec. 601."""
    weights = photo.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (photo * weights).sum(0)[None, None]


def balance(grey: Tensor) -> Tensor:
    """Expose every picture alike: a fixed mean and deviation.

    The network's first instance norm takes mean and deviation away as well, so
    a teacher that kept them could not be followed.
    """
    variance, mean = torch.var_mean(grey)
    return 0.54 + 0.24 * (grey - mean) / variance.sqrt().clamp(min=0.08)


def tone(grey: Tensor, surroundings: Tensor) -> Tensor:
    """Choose how much ink each place gets, in [0, 1].

    The darker the more, with part of the surroundings' tone taken out, since a
    painter leaves whole areas to the paper; and nothing at all for light tones.
    """
    local = grey + 0.40 * (0.62 - surroundings)
    darkness = ((0.72 - local) / 0.54).clamp(0, 1)
    return darkness**1.4


def washes(ink: Tensor) -> Tensor:
    """Settle tones into a few washes with soft borders, where the pigment gathers."""
    steps = ink * WASHES
    floor = steps.floor()
    # A smooth step between two washes: flat at both ends, steep in the middle.
    rise = torch.sigmoid(9 * (steps - floor - 0.5))
    flat = (floor + rise) / WASHES
    bled = blur(flat, 1.0)
    pooled = bled + 0.9 * (bled - blur(bled, 3.0)).clamp(0, 0.12)
    return (0.95 * pooled).clamp(0, 1)


def granulate(ink: Tensor, grey: Tensor) -> Tensor:
    """Let the photograph's own fine texture show as the grain of the pigment."""
    fine = blur(grey, 0.7) - blur(grey, 2.5)
    return (ink - 0.9 * ink.sqrt() * fine).clamp(0, 1)


def colour(ink: Tensor) -> Tensor:
    """Mix paper and ink, (1, 1, H, W) in [0, 1], to (3, H, W) RGB."""
    paper, black = (ink.new_tensor(rgb).view(3, 1, 1) for rgb in (PAPER, INK))
    return paper + (black - paper) * ink[0]


def lines(grey: Tensor, width: float = 1.0, reach: int = 8) -> Tensor:
    """Draw dark lines along edges, in [0, 1]: 1 where the brush is full of ink."""
    tangent = flow(grey)
    across = torch.stack([-tangent[:, 1], tangent[:, 0]], 1)
    grey = blur(grey, 0.6)
    response = _difference_across(grey, across, width)
    along = _sum_along(response, tangent, reach, sigma=reach / 2)
    return torch.tanh((-along - 0.006).clamp(min=0) * 42)


def flow(grey: Tensor) -> Tensor:
    """Find the direction of the edges: unit vectors (1, 2, H, W), x then y.

    It is the eigenvector of the smaller eigenvalue of the smoothed structure
    tensor ((a, b), (b, c)): across it the picture changes most.
    """
    dy, dx = torch.gradient(blur(grey, 1.0), dim=(2, 3))
    a, b, c = blur(dx * dx, 2.0), blur(dx * dy, 2.0), blur(dy * dy, 2.0)
    angle = 0.5 * torch.atan2(2 * b, a - c) + math.pi / 2
    return torch.cat([angle.cos(), angle.sin()], 1)


def _difference_across(grey: Tensor, across: Tensor, sigma: float) -> Tensor:
    offsets = torch.arange(-4, 5, dtype=torch.float32)
    centre, surround = (_bell(offsets, s) for s in (sigma, 1.6 * sigma))
    response = torch.zeros_like(grey)
    for offset, weight in zip(offsets.tolist(), (centre - surround).tolist(), strict=True):
        response += weight * _moved(grey, offset * across)
    return response


def _sum_along(values: Tensor, tangent: Tensor, reach: int, sigma: float) -> Tensor:
    """Average along the stream lines of ``tangent``, ``reach`` pixels to both sides."""
    weights = torch.exp(-0.5 * (torch.arange(reach + 1) / sigma) ** 2)
    total = weights[0] * values
    for sign in (1.0, -1.0):
        step = sign * tangent
        place = torch.zeros_like(tangent)
        for weight in weights[1:]:
            place = place + step
            ahead = _moved(tangent, place)
            # A direction has no sign: keep walking the way we came.
            step = ahead * torch.sign((ahead * step).sum(1, keepdim=True) + 1e-9)
            total = total + weight * _moved(values, place)
    return total / (2 * weights.sum() - weights[0])


def _moved(values: Tensor, offset: Tensor) -> Tensor:
    """Look up (1, C, H, W) at each pixel plus ``offset``, (1, 2, H, W) in pixels."""
    height, width = values.shape[2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    column = (x + offset[:, 0]) * 2 / (width - 1) - 1
    row = (y + offset[:, 1]) * 2 / (height - 1) - 1
    grid = torch.stack([column, row], -1)
    return functional.grid_sample(values, grid, padding_mode="border", align_corners=True)


def kuwahara(grey: Tensor, radius: int, sharpness: float = 8.0) -> Tensor:
    """Smooth to brush strokes: each pixel takes the mean of its most even sectors."""
    kernels = _sectors(radius)
    padded = functional.pad(grey, [radius] * 4, mode="reflect")
    mean = functional.conv2d(padded, kernels)
    variance = (functional.conv2d(padded**2, kernels) - mean**2).clamp(min=0)
    weight = 1 / (1 + (100 * variance.sqrt()) ** sharpness)
    weight = weight + 1e-12
    return (weight * mean).sum(1, keepdim=True) / weight.sum(1, keepdim=True)


def _sectors(radius: int) -> Tensor:
    """Gaussian disc cut into overlapping sectors: (SECTORS, 1, 2r + 1, 2r + 1), each of sum 1."""
    side = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(side, side, indexing="ij")
    disc = torch.exp(-0.5 * (x**2 + y**2) / (radius / 2) ** 2) * (x**2 + y**2 <= radius**2 + 1)
    directions = torch.arange(SECTORS).view(-1, 1, 1) * 2 * math.pi / SECTORS
    turn = torch.remainder(torch.atan2(y, x) - directions + math.pi, 2 * math.pi) - math.pi
    share = torch.exp(-0.5 * (turn / (math.pi / SECTORS)) ** 2)
    share = torch.where((x == 0) & (y == 0), torch.ones(()), share)
    kernels = (disc * share)[:, None]
    return kernels / kernels.sum((2, 3), keepdim=True)


def blur(values: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (1, 1, H, W), mirrored at the borders."""
    radius = min(math.ceil(2.5 * sigma), min(values.shape[2:]) - 1)
    kernel = _bell(torch.arange(-radius, radius + 1, dtype=torch.float32), sigma)
    values = functional.pad(values, [radius] * 4, mode="reflect")
    values = functional.conv2d(values, kernel.view(1, 1, -1, 1))
    return functional.conv2d(values, kernel.view(1, 1, 1, -1))


def _bell(offsets: Tensor, sigma: float) -> Tensor:
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()
