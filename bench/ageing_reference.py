"""Face ageing as its papers describe it, a picture and an age at a time: what ours is held against.

Plain functions on the tensors of ``sam_ffhq_aging.pt``: an encoder that sees the age and one that
does not, both for every age (arXiv:2102.02754, 2008.00951); weights modulated and demodulated for
each picture (arXiv:1912.04958, section 2.2); pictures resampled by inserting zeros, padding and
filtering each channel. Nothing is kept, shared or written in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]

COARSE, MIDDLE = 3, 7
# The last unit of the second, third and fourth stage.
TAPS = (6, 20, 23)
FIRST_OF_STAGE = (0, 3, 7, 21)
ROOT2 = math.sqrt(2)


def show(state: State, average: Tensor, face: Tensor, years: int) -> Tensor:
    """Return (1, 3, side, side), not clamped, for a face (1, 3, 256, 256) in [-1, 1]."""
    aged = torch.cat([face, torch.full_like(face[:, :1], years / 100)], dim=1)
    codes = encode(state, "encoder.", aged)
    codes = codes + encode(state, "pretrained_encoder.", face) + average
    return paint(state, "decoder.", codes)


def encode(state: State, at: str, x: Tensor) -> Tensor:
    """Map (N, C, 256, 256) to style codes (N, styles, 512)."""
    x = functional.conv2d(x, state[f"{at}input_layer.0.weight"], padding=1)
    x = functional.prelu(_norm(state, f"{at}input_layer.1", x), state[f"{at}input_layer.2.weight"])
    maps = []
    for index in range(TAPS[-1] + 1):
        x = _unit(state, f"{at}body.{index}.", x, 2 if index in FIRST_OF_STAGE else 1)
        maps += [x] if index in TAPS else []
    fine, middle, coarse = maps
    middle = _enlarged(coarse, middle) + _lateral(state, f"{at}latlayer1", middle)
    fine = _enlarged(middle, fine) + _lateral(state, f"{at}latlayer2", fine)
    styles = [key for key in state if key.startswith(f"{at}styles.") and "linear.weight" in key]
    return torch.stack(
        [
            _style(
                state,
                f"{at}styles.{index}.",
                coarse if index < COARSE else middle if index < MIDDLE else fine,
            )
            for index in range(len(styles))
        ],
        dim=1,
    )


def _norm(state: State, at: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{at}.running_mean"], state[f"{at}.running_var"]
    return functional.batch_norm(x, mean, variance, state[f"{at}.weight"], state[f"{at}.bias"])


def _unit(state: State, at: str, x: Tensor, stride: int) -> Tensor:
    y = _norm(state, f"{at}res_layer.0", x)
    y = functional.conv2d(y, state[f"{at}res_layer.1.weight"], padding=1)
    y = functional.prelu(y, state[f"{at}res_layer.2.weight"])
    y = functional.conv2d(y, state[f"{at}res_layer.3.weight"], stride=stride, padding=1)
    y = _norm(state, f"{at}res_layer.4", y)
    share = functional.adaptive_avg_pool2d(y, 1)
    share = functional.relu(functional.conv2d(share, state[f"{at}res_layer.5.fc1.weight"]))
    y = y * torch.sigmoid(functional.conv2d(share, state[f"{at}res_layer.5.fc2.weight"]))
    if f"{at}shortcut_layer.0.weight" in state:
        x = functional.conv2d(x, state[f"{at}shortcut_layer.0.weight"], stride=stride)
        return y + _norm(state, f"{at}shortcut_layer.1", x)
    return y + functional.max_pool2d(x, 1, stride)


def _lateral(state: State, at: str, x: Tensor) -> Tensor:
    return functional.conv2d(x, state[f"{at}.weight"], state[f"{at}.bias"])


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def _style(state: State, at: str, x: Tensor) -> Tensor:
    for index in range(x.shape[-1].bit_length() - 1):
        kernel, bias = (state[f"{at}convs.{2 * index}.{name}"] for name in ("weight", "bias"))
        x = functional.leaky_relu(functional.conv2d(x, kernel, bias, stride=2, padding=1))
    return _linear(state, f"{at}linear", x.flatten(1))


def _linear(state: State, at: str, x: Tensor) -> Tensor:
    weight = state[f"{at}.weight"]
    return functional.linear(x, weight / math.sqrt(weight.shape[1]), state[f"{at}.bias"])


def paint(state: State, at: str, codes: Tensor) -> Tensor:
    """Map codes (1, styles, 512) to (1, 3, side, side)."""
    x = state[f"{at}input.input"]
    x = _styled(state, f"{at}conv1.", x, codes[:, 0], state[f"{at}noises.noise_0"])
    rgb = _colours(state, f"{at}to_rgb1.", x, codes[:, 1])
    for index in range(codes.shape[1] // 2 - 1):
        for layer in (2 * index, 2 * index + 1):
            noise = state[f"{at}noises.noise_{layer + 1}"]
            x = _styled(state, f"{at}convs.{layer}.", x, codes[:, layer + 1], noise)
        here = f"{at}to_rgbs.{index}."
        larger = upfirdn(rgb, state[f"{here}upsample.kernel"], up=2, pad=(2, 1))
        rgb = _colours(state, here, x, codes[:, 2 * index + 3]) + larger
    return rgb


def _modulated(state: State, at: str, style: Tensor, *, demodulate: bool = True) -> Tensor:
    weight = state[f"{at}weight"]  # (1, out, C, k, k)
    scale = _linear(state, f"{at}modulation", style).view(1, 1, -1, 1, 1)
    weight = weight / math.sqrt(weight[0, 0].numel()) * scale
    if demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    return weight[0]


def _styled(state: State, at: str, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
    weight = _modulated(state, f"{at}conv.", style)
    if f"{at}conv.blur.kernel" in state:
        x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        x = upfirdn(x, state[f"{at}conv.blur.kernel"], pad=(1, 1))
    else:
        x = functional.conv2d(x, weight, padding=1)
    x = x + state[f"{at}noise.weight"] * noise
    x = x + state[f"{at}activate.bias"].view(1, -1, 1, 1)
    return functional.leaky_relu(x, 0.2) * ROOT2


def _colours(state: State, at: str, x: Tensor, style: Tensor) -> Tensor:
    weight = _modulated(state, f"{at}conv.", style, demodulate=False)
    return functional.conv2d(x, weight) + state[f"{at}bias"]


def upfirdn(x: Tensor, kernel: Tensor, *, up: int = 1, pad: tuple[int, int]) -> Tensor:
    """Insert ``up`` - 1 zeros after each pixel of (N, C, h, w), pad, and filter each channel."""
    count, channels, height, width = x.shape
    planes = x.reshape(count * channels, 1, height, 1, width, 1)
    planes = functional.pad(planes, (0, up - 1, 0, 0, 0, up - 1))
    planes = planes.reshape(count * channels, 1, height * up, width * up)
    planes = functional.pad(planes, (*pad, *pad))
    planes = functional.conv2d(planes, kernel.flip((0, 1))[None, None])
    return planes.reshape(count, channels, *planes.shape[2:])
