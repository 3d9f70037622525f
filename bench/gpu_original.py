"""How the original projects compute what timetravel and inkwash answer, to compare speeds with.

On the weights of our networks: in float32, channels first, one picture after the other, nothing
shared between ages. The original face generator has CUDA kernels of its own for its blurs and
activations; here they are PyTorch's operations, as in the variant of it that needs no compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.ageing_reference import paint


def paint_photos(generator: Any, photos: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Paint photos (3, H, W) uint8 one by one; returns the same type, on the CPU."""
    painted = []
    for photo in photos:
        numbers = (photo[None].float() / 255 - 0.5) / 0.5
        output = generator(numbers.to(device)).cpu()
        painted.append(((output[0] + 1) / 2 * 255).to(torch.uint8))
    return painted


def show_ages(network: Any, face: Tensor, ages: Sequence[int]) -> list[Tensor]:
    """Show a face (1, 3, side, side) at each age: the whole of all three networks, each time."""
    state = network.decoder.state_dict()
    pictures = []
    for age in ages:
        plane = torch.full_like(face[:, :1], age / 100)
        codes = network.encoder(torch.cat([face, plane], dim=1))
        codes = codes + network.pretrained_encoder(face) + network.latent_avg
        picture = paint(state, "", codes)
        scaled = ((picture[0] + 1) / 2).clamp(0, 1) * 255
        pictures.append(scaled.to(torch.uint8).permute(1, 2, 0).cpu())
    return pictures
