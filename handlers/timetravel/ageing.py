"""Show faces at several ages: what is common is computed once, the rest in batches that fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from handlers.runtime.finite import check_finite
from handlers.runtime.memory import is_out_of_memory
from handlers.timetravel.model import AgeingNetwork


class AtOnce(NamedTuple):
    """How many pairs of a face and an age are worked on together; fewer when they do not fit.

    Attributes:
        encoded: by the encoder that sees the age. Together they read its weights once.
        painted: by the generator, whose weights are small and whose pictures are large.
    """

    encoded: int
    painted: int


def show_ages(
    network: AgeingNetwork,
    faces: Tensor,
    years: Tensor,
    at_once: AtOnce,
    spare: Callable[[nn.Module], object] = lambda _: None,
) -> Tensor:
    """Show each face at each of its ages.

    Args:
        network: in eval mode.
        faces: (N, 3, face_side, face_side) RGB in [-1, 1], on the network's device.
        years: (N, ages).
        at_once: how many go through a part of the network together.
        spare: told of each of the two encoders, a gigabyte each, when its work is done.

    Returns:
        (N, ages, picture_side, picture_side, 3) uint8 RGB, on the CPU.
    """
    count, ages = years.shape
    identity = network.identity(faces)
    spare(network.pretrained_encoder)
    owners = torch.arange(count, device=faces.device).repeat_interleave(ages)
    targets = years.flatten()

    def encode(part: slice) -> Tensor:
        who = owners[part]
        return identity[who] + network.age(faces[who], targets[part])

    codes = torch.cat(in_parts(encode, count * ages, at_once.encoded))
    spare(network.encoder)

    def paint(part: slice) -> Tensor:
        painted = network.decoder(codes[part])
        check_finite(painted, painted.dtype)  # as bytes nothing would show it
        return to_pixels(painted).cpu()

    pictures = torch.cat(in_parts(paint, count * ages, at_once.painted))
    return pictures.reshape(count, ages, *pictures.shape[1:])


def in_parts(work: Callable[[slice], Tensor], count: int, size: int) -> list[Tensor]:
    """Do ``work`` on 0 to ``count`` in parts of ``size``, halved whenever memory runs out.

    Raises:
        MemoryError, torch.OutOfMemoryError, RuntimeError: a part of one does not fit.
    """
    done: list[Tensor] = []
    start = 0
    while start < count:
        part = _attempt(work, slice(start, min(start + size, count)))
        if part is None:
            # Here the failed attempt's tensors are gone; in its except block they are not.
            torch.cuda.empty_cache()
            size = max(size // 2, 1)
            continue
        done.append(part)
        start += size
    return done


def _attempt(work: Callable[[slice], Tensor], part: slice) -> Tensor | None:
    """Return what ``work`` gives, or None when a part of more than one does not fit."""
    try:
        return work(part)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or part.stop - part.start == 1:
            raise
        return None


def to_pixels(pictures: Tensor) -> Tensor:
    """Turn (N, 3, H, W) in [-1, 1] into (N, H, W, 3) uint8; cut off, not rounded."""
    scaled = pictures.float().add(1).div_(2).clamp_(0, 1).mul_(255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1)
