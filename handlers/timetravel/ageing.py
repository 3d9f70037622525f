"""Show faces at several ages: what is common is computed once, the rest in batches that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from handlers.runtime.finite import check_finite
from handlers.runtime.parts import in_parts
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

    encoded: list[Tensor] = []

    def encode(part: Sequence[tuple[Tensor, Tensor]]) -> None:
        who, target = map(torch.stack, zip(*part, strict=True))
        encoded.append(identity[who] + network.age(faces[who], target))

    in_parts(encode, [*zip(owners, targets, strict=True)], at_once.encoded)
    spare(network.encoder)
    painted: list[Tensor] = []

    def paint(part: Sequence[Tensor]) -> None:
        pictures = network.decoder(torch.stack([*part]))
        check_finite(pictures, pictures.dtype)  # as bytes nothing would show it
        painted.append(to_pixels(pictures).cpu())

    in_parts(paint, [*torch.cat(encoded)], at_once.painted)
    pictures = torch.cat(painted)
    return pictures.reshape(count, ages, *pictures.shape[1:])


def to_pixels(pictures: Tensor) -> Tensor:
    """Turn (N, 3, H, W) in [-1, 1] into (N, H, W, 3) uint8; cut off, not rounded."""
    scaled = pictures.float().add(1).div_(2).clamp_(0, 1).mul_(255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1)
