"""The ink-wash painter's network: CycleGAN's ResNet generator.

Source: J.-Y. Zhu et al., "Unpaired Image-to-Image Translation using
Cycle-Consistent Adversarial Networks", ICCV 2017, arXiv:1703.10593. The module
layout gives the same state-dict keys as that project's ``latest_net_G.pth``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from handlers.runtime.weights import WeightsError, fit_state, read_state

# The first convolution: by it a generator is told.
FIRST = "model.1.weight"
NGF = 64
BLOCKS = 9

# Reflection by one pixel at a quarter of the size needs two pixels there.
MIN_SIDE = 5

# Instance norms kept running statistics before PyTorch 0.4; they were never used.
OLD_BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape; h and w are at least 2."""
        out: Tensor = x + self.conv_block(x)
        return out


class Generator(nn.Module):
    """Photograph to painting, size for size but for rounding up to a multiple of 4.

    Args:
        ngf: channels at full resolution; 64 in the published networks.
        blocks: residual blocks at a quarter of the resolution; 9 in "resnet_9blocks".
    """

    def __init__(self, ngf: int = NGF, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.blocks = blocks
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, ngf, 7),
            *_normalised(ngf),
            *_down(ngf),
            *_down(2 * ngf),
            *(ResidualBlock(4 * ngf) for _ in range(blocks)),
            *_up(4 * ngf),
            *_up(2 * ngf),
            nn.ReflectionPad2d(3),
            nn.Conv2d(ngf, 3, 7),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Paint a batch of pictures.

        Args:
            x: (N, 3, H, W) RGB in [-1, 1]; H and W are at least 5.

        Returns:
            (N, 3, 4 * ceil(H / 4), 4 * ceil(W / 4)) RGB in [-1, 1].
        """
        out: Tensor = self.model(x)
        return out


def _normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)


def _down(channels: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
    return convolution, *_normalised(2 * channels)


def _up(channels: int) -> tuple[nn.Module, ...]:
    half = channels // 2
    convolution = nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1)
    return convolution, *_normalised(half)


def load_generator(path: Path) -> Generator:
    """Read a generator from ``path``, in eval mode, in float32, on the CPU.

    Width and depth are taken from the file. Accepts what CycleGAN's trainers
    have written over the years: a ``module.`` prefix, the instance-norm buffers
    of PyTorch before 0.4, and the variant trained with dropout.

    Raises:
        WeightsError: the file is missing or damaged, is not a generator's, or
            has missing, unknown or wrongly shaped tensors; the message names
            the file and the first of them.
    """
    state = _modern(read_state(path, [FIRST]))
    first = state.get(FIRST)
    if first is None or first.ndim != 4:
        raise WeightsError(
            f"{path}: not a CycleGAN ResNet generator: expected a 4-d tensor {FIRST}, "
            f"found {_described(state)}"
        )
    generator = Generator(ngf=first.shape[0], blocks=_count_blocks(state) or BLOCKS)
    fit_state(generator, state, path)
    return generator.eval()


def _modern(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_renamed(key): value for key, value in state.items() if not key.endswith(OLD_BUFFERS)}


def _renamed(key: str) -> str:
    # Dropout stands at conv_block.4 and pushes the second convolution from 5 to 6.
    return re.sub(r"\.conv_block\.6\.(weight|bias)$", r".conv_block.5.\1", key)


def _count_blocks(state: Mapping[str, Tensor]) -> int:
    found = (re.match(r"model\.(\d+)\.conv_block\.", key) for key in state)
    return len({match[1] for match in found if match})


def _described(state: Mapping[str, Tensor]) -> str:
    listed = [f"{key} {tuple(value.shape)}" for key, value in list(state.items())[:3]]
    return f"{len(state)} tensors, first {', '.join(listed)}" if listed else "no tensors"
