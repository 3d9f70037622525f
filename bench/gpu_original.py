"""How the original projects compute what timetravel and inkwash answer, to compare speeds with.

Written from the papers' formulas, on the weights of our networks: in float32, channels first, one
picture after the other, nothing shared between ages. The original face generator has CUDA kernels
of its own for its blurs and activations; here they are PyTorch's operations, as in the variant of
it that needs no compiler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-8
State = Mapping[str, Tensor]


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
        picture = decode(state, codes)
        scaled = ((picture[0] + 1) / 2).clamp(0, 1) * 255
        pictures.append(scaled.to(torch.uint8).permute(1, 2, 0).cpu())
    return pictures


def decode(state: State, codes: Tensor) -> Tensor:
    """Run the generator on codes (1, styles, width): (1, 3, side, side)."""
    x = styled(state, "conv1", state["input.input"], codes[:, 0], state["noises.noise_0"])
    rgb = to_rgb(state, "to_rgb1", x, codes[:, 1], None)
    for index in range(codes.shape[1] // 2 - 1):
        for layer in (2 * index, 2 * index + 1):
            noise = state[f"noises.noise_{layer + 1}"]
            x = styled(
                state, f"convs.{layer}", x, codes[:, layer + 1], noise, doubles=layer % 2 == 0
            )
        rgb = to_rgb(state, f"to_rgbs.{index}", x, codes[:, 2 * index + 3], rgb)
    return rgb


def styled(
    state: State, name: str, x: Tensor, style: Tensor, noise: Tensor, *, doubles: bool = False
) -> Tensor:
    """Modulated convolution, noise, bias, leaky ReLU."""
    x = modulated(state, f"{name}.conv", x, style, doubles=doubles)
    x = x + state[f"{name}.noise.weight"] * noise
    x = x + state[f"{name}.activate.bias"][:, None, None]
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)


def to_rgb(state: State, name: str, x: Tensor, style: Tensor, smaller: Tensor | None) -> Tensor:
    """A modulated convolution to three channels, on top of the smaller picture."""
    rgb = modulated(state, f"{name}.conv", x, style, demodulate=False) + state[f"{name}.bias"]
    if smaller is None:
        return rgb
    spread = smaller.new_zeros(*smaller.shape[:2], smaller.shape[2], 2, smaller.shape[3], 2)
    spread[:, :, :, 0, :, 0] = smaller
    zeros = spread.flatten(4, 5).flatten(2, 3)
    kernel = state[f"{name}.upsample.kernel"]
    return rgb + blurred(zeros, kernel, (2, 1))


def modulated(
    state: State,
    name: str,
    x: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    doubles: bool = False,
) -> Tensor:
    """Convolve with weights of this picture's own, as the paper has it."""
    weight = state[f"{name}.weight"]  # (1, out, C, k, k)
    width = state[f"{name}.modulation.weight"]
    scale = functional.linear(
        style, width / math.sqrt(width.shape[1]), state[f"{name}.modulation.bias"]
    )
    _, out, channels, size, _ = weight.shape
    own = weight / math.sqrt(channels * size * size) * scale[:, None, :, None, None]
    if demodulate:
        own = own * torch.rsqrt(own.square().sum((2, 3, 4), keepdim=True) + EPS)
    kernel = own.reshape(out, channels, size, size)
    if doubles:
        larger = functional.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
        return blurred(larger, state[f"{name}.blur.kernel"], (1, 1))
    return functional.conv2d(x, kernel, padding=size // 2)


def blurred(x: Tensor, kernel: Tensor, pad: tuple[int, int]) -> Tensor:
    """Filter each channel, zeros around it: so many before and behind."""
    padded = functional.pad(x, (*pad, *pad)).flatten(0, 1)[:, None]
    return functional.conv2d(padded, kernel[None, None]).reshape(*x.shape[:2], *_sides(x, pad))


def _sides(x: Tensor, pad: tuple[int, int]) -> tuple[int, int]:
    return x.shape[2] + sum(pad) - 3, x.shape[3] + sum(pad) - 3
