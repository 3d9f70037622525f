"""Paint pictures of any size in bounded memory.

A convolution needs only a pixel's neighbourhood and could be computed tile by
tile; an instance norm needs the mean and variance of the whole picture. So the
statistics come first, from an evenly spaced sample, and then all tiles are
painted with the same ones. Nothing is stored on the generator: it may paint in
several threads at a time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.inkwash.model import MIN_SIDE, Generator, ResidualBlock
from handlers.runtime import tiles
from handlers.runtime.memory import is_out_of_memory
from handlers.runtime.parts import PIXELS_ON_GPU, at_once, in_parts

# 64 channels of 2**20 float32 pixels are 256 MiB, and up to three such arrays live at a time.
MAX_PIXELS = 1 << 20
# Smaller patches see more of the picture's variety, larger ones fewer false borders.
SAMPLE_SIDE = 96
EPS = 1e-5

Norm = Callable[[Tensor], Tensor]
# A tile's rows and columns.
Place: TypeAlias = tuple[tiles.Span, tiles.Span]


@dataclass(frozen=True)
class Moments:
    """Mean and variance of one instance norm: each (C,), float32 or better."""

    mean: Tensor
    variance: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Normalise (N, C, h, w) of any float type; the result has its type."""
        return functional.batch_norm(x, self.mean, self.variance, eps=EPS)


def paint(generator: Generator, image: Tensor, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Paint one picture, never more than ``max_pixels`` of it at a time on a CPU.

    Up to ``max_pixels`` this is the generator itself; on a GPU also above, up to
    ``PIXELS_ON_GPU``, if its memory suffices. Beyond that, the picture is
    painted in tiles that meet without a seam, but it is an approximation: the
    means and variances of the instance norms are those of an evenly spaced
    sample of ``max_pixels`` pixels, not of the whole picture. Contrast and tone
    may differ a little from those of an untiled painting, evenly everywhere; the
    more so, the larger the picture and the less alike its parts. With the demo
    weights, photographs of 1.2 megapixels came out 46 to 51 dB apart (peak 2), a
    collage of six quite different ones, 6 megapixels, by 41 dB.

    Args:
        generator: on any device, of any float type, in eval or train mode alike.
        image: (1, 3, H, W) RGB in [-1, 1], on the generator's device and of its type.
        max_pixels: pixels in one tile, halo included; the memory grows with it.

    Returns:
        (1, 3, 4 * ceil(H / 4), 4 * ceil(W / 4)) RGB in [-1, 1].

    Raises:
        ValueError: ``image`` has another shape, a side under 5 pixels, or
            ``max_pixels`` is too small for a tile with its halo.
    """
    _check(image)
    with torch.inference_mode():
        whole = _paint_whole(generator, image, max_pixels)
        if whole is not None:
            return whole
        if image.is_cuda:
            torch.cuda.empty_cache()
        statistics = estimate_statistics(generator, image, max_pixels)
        return paint_tiles(generator, image, statistics, max_pixels)


def _paint_whole(generator: Generator, image: Tensor, max_pixels: int) -> Tensor | None:
    """Paint without tiles, or return None where that needs too much memory."""
    pixels = image.shape[2] * image.shape[3]
    if pixels > (max(max_pixels, PIXELS_ON_GPU) if image.is_cuda else max_pixels):
        return None
    try:
        whole: Tensor = generator(image)
    except RuntimeError as error:
        if pixels <= max_pixels or not is_out_of_memory(error):
            raise
        return None
    return whole


def _check(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[:2] != (1, 3) or min(image.shape[2:]) < MIN_SIDE:
        raise ValueError(
            f"expected an image (1, 3, H, W) with H and W at least {MIN_SIDE}, "
            f"found {tuple(image.shape)}"
        )


def estimate_statistics(
    generator: Generator, image: Tensor, max_pixels: int = MAX_PIXELS
) -> list[Moments]:
    """Estimate what each instance norm would use, in the order of the network.

    Small patches of the picture, at full resolution and evenly spaced, run as
    one batch, and each norm pools over the batch and space, as it would over
    one picture. So each layer's statistics rest on the earlier layers' own.
    """
    statistics: list[Moments] = []

    def pool(x: Tensor) -> Tensor:
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(precise, dim=(0, 2, 3), correction=0)
        statistics.append(Moments(mean, variance))
        return statistics[-1].apply(x)

    with torch.inference_mode():
        run(generator.model, _sample(image, max_pixels), pool)
    return statistics


def paint_with(generator: Generator, image: Tensor, statistics: Iterable[Moments]) -> Tensor:
    """Paint ``image`` (N, 3, H, W) in one go with the given statistics."""
    moments = iter(statistics)
    with torch.inference_mode():
        return run(generator.model, image, lambda x: next(moments).apply(x))


def paint_tiles(
    generator: Generator, image: Tensor, statistics: list[Moments], max_pixels: int = MAX_PIXELS
) -> Tensor:
    """Paint (1, 3, H, W) in tiles; equal to `paint_with` but for rounding errors."""
    height, width = image.shape[2:]
    margin = halo(generator.blocks)
    core = (math.isqrt(max_pixels) - 2 * margin) // 4 * 4
    if core < 4:
        least = (2 * margin + 4) ** 2
        raise ValueError(f"max_pixels is {max_pixels}; tiles with their halo need {least}")
    painting = image.new_empty(1, 3, _round_up(height), _round_up(width))

    def fill(places: Sequence[Place]) -> None:
        parts = [image[:, :, rows.source, columns.source] for rows, columns in places]
        painted = paint_with(generator, torch.cat(parts), statistics)
        for (rows, columns), tile in zip(places, painted, strict=True):
            painting[0, :, rows.target, columns.target] = tile[:, rows.core, columns.core]

    by_size: dict[tuple[int, int], list[Place]] = defaultdict(list)
    for rows, columns in product(spans(height, core, margin), spans(width, core, margin)):
        size = rows.read_to - rows.read_from, columns.read_to - columns.read_from
        by_size[size].append((rows, columns))
    for (high, wide), places in by_size.items():
        in_parts(fill, places, at_once(image.device, high * wide))
    return painting


def run(layers: Iterable[nn.Module], x: Tensor, norm: Norm) -> Tensor:
    """Apply ``layers`` to ``x`` with ``norm`` in the place of every instance norm."""
    for layer in layers:
        if isinstance(layer, nn.InstanceNorm2d):
            x = norm(x)
        elif isinstance(layer, ResidualBlock):
            x = x + run(layer.conv_block, x, norm)
        else:
            x = layer(x)
    return x


def instance_norm(x: Tensor) -> Tensor:
    """Do for (N, C, h, w) what nn.InstanceNorm2d does, with a gradient that is right.

    PyTorch's own gets the gradient wrong for N = 1 where it comes in channels-last order, as
    convolutions with channels-last weights hand it on (seen in 2.14.1 on CPUs).
    """
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(precise, dim=(2, 3), correction=0, keepdim=True)
    return ((precise - mean) * torch.rsqrt(variance + EPS)).to(x.dtype)


def halo(blocks: int) -> int:
    """Pixels around a tile that its result depends on, rounded up to a multiple of 4.

    Followed backwards from a tile's first output pixel, at 0, the first pixel needed is
    -3 (7x7), -2 and -1 (transposed, two scales), -1 - 2b (b blocks of two 3x3),
    twice i -> 2i - 1 (strided), then -3: -(4 (2b + 1) + 3) - 3 = -(8b + 10).
    From the last pixel, at -1, forwards: 2, 1, 1, 1 + 2b, twice i -> 2i + 1, + 3: 8b + 10,
    which is 8b + 11 pixels further on. 8b + 12 is a multiple of 4, so a tile's grid of
    strides falls together with the picture's.
    """
    return 8 * blocks + 12


def spans(length: int, core: int, margin: int) -> Iterator[tiles.Span]:
    """Cut one side into spans of at most ``core``; the last ends at the rounded-up length."""
    return tiles.spans(length, _round_up(length), math.ceil(length / core), margin, stride=4)


def _sample(image: Tensor, max_pixels: int) -> Tensor:
    """Take evenly spaced patches of a (1, 3, H, W) picture: (N, 3, h, w)."""
    height, width = image.shape[2:]
    side = min(SAMPLE_SIDE, math.isqrt(max_pixels))
    h, w = min(height, side), min(width, side)
    rows, columns = _grid(math.ceil(height / h), math.ceil(width / w), max_pixels // (h * w))
    patches = [
        image[:, :, top : top + h, left : left + w]
        for top in _evenly(height - h, rows)
        for left in _evenly(width - w, columns)
    ]
    return torch.cat(patches)


def _grid(most_rows: int, most_columns: int, count: int) -> tuple[int, int]:
    """Choose rows and columns, at most ``count`` patches, in about the picture's proportions."""
    rows = min(max(round(math.sqrt(count * most_rows / most_columns)), 1), most_rows, count)
    return rows, min(most_columns, count // rows)


def _evenly(last: int, count: int) -> list[int]:
    """Place ``count`` patches from 0 to ``last``; a single one in the middle."""
    if count == 1:
        return [last // 2]
    return [round(i * last / (count - 1)) for i in range(count)]


def _round_up(side: int) -> int:
    return -(-side // 4) * 4
