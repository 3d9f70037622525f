"""Make the demo's weights and example: a small ageing network, taught on drawn portraits.

    python -m handlers.timetravel.demo.make

The drawings show one person at any age, so the network is simply told: this face, at that
age, looks like this. All parts of the published network learn together.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from handlers.timetravel.checkpoint import load_network
from handlers.timetravel.decoder import DecoderSizes
from handlers.timetravel.demo.judge import LARGE, judge
from handlers.timetravel.demo.portraits import draw, random_person
from handlers.timetravel.encoder import EncoderSizes
from handlers.timetravel.model import AgeingNetwork, Sizes

HERE = Path(__file__).parent
WEIGHTS = HERE / "timetravel_demo.pt"
EXAMPLE = HERE.parent / "example.png"

SIDE = 128
STYLE_WIDTH = 48
PEOPLE, AGES = 1500, 5
HELD_OUT_PEOPLE, HELD_OUT_SEED = 60, 99
EXAMPLE_SEED = 12
# The generator's weights are stored with unit variance, so the same relative step is larger.
ENCODER_RATE, DECODER_RATE = 2e-3, 1e-2
DECODER = DecoderSizes(STYLE_WIDTH, channels=(48, 48, 48, 48, 32, 16), mapping_layers=2)


def encoder_sizes(channels: int) -> EncoderSizes:
    """Return the small encoder's sizes; it sees faces at half the pictures' side."""
    return EncoderSizes(
        channels=channels,
        side=SIDE // 2,
        widths=(16, 24, 32, 48),
        units=(1, 2, 2, 2),
        styles=DECODER.styles,
        style_width=STYLE_WIDTH,
    )


def new_network() -> AgeingNetwork:
    """Return an untrained network of the demo's size."""
    network = AgeingNetwork(Sizes(encoder_sizes(4), DECODER, encoder_sizes(3)))
    with torch.no_grad():
        network.latent_avg = network.decoder.style(torch.randn(4096, STYLE_WIDTH)).mean(0)
        for layer in (network.decoder.conv1, *network.decoder.convs):
            layer.noise.weight.fill_(1)
    # The maps are stored with the weights, so they may be learnt as well: they tell the layers
    # where in the picture they are, which takes convolutions alone long to find out.
    for noise in network.decoder.noises.buffers():
        noise.mul_(0.1).requires_grad_()
    return network


class Album:
    """Portraits of several people, each at several ages.

    Attributes:
        years: (people, ages).
        portraits: (people, ages, 3, SIDE, SIDE) uint8.
    """

    def __init__(self, people: int, ages: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.years = torch.from_numpy(rng.uniform(0, 100, (people, ages))).float()
        pages = []
        for years in self.years.tolist():
            person = random_person(rng)
            pages.append([np.asarray(draw(person, age, SIDE)) for age in years])
        self.portraits = torch.from_numpy(np.array(pages)).permute(0, 1, 4, 2, 3).contiguous()

    def pairs(self, people: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return small faces, the ages to show them at, and what that looks like."""
        pictures, targets = self.portraits[people, before], self.portraits[people, after]
        faces = functional.avg_pool2d(scaled(pictures), 2)
        return faces, self.years[people, after], scaled(targets)


def scaled(pixels: Tensor) -> Tensor:
    """Return 0..255 as [-1, 1]."""
    return pixels.float() / 127.5 - 1


def loss_of(painted: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute error of pixels, of edges, and of the picture at lower sizes."""
    total = functional.l1_loss(painted, wanted)
    for axis in (2, 3):
        total = total + functional.l1_loss(painted.diff(dim=axis), wanted.diff(dim=axis))
    for size in (4, 16):
        a, b = functional.avg_pool2d(painted, size), functional.avg_pool2d(wanted, size)
        total = total + functional.l1_loss(a, b)
    return total


def train(network: AgeingNetwork, album: Album, steps: int, batch: int) -> None:
    """Teach ``network`` for ``steps`` steps, the learning rate falling to zero as a cosine."""
    encoders = [*network.encoder.parameters(), *network.pretrained_encoder.parameters()]
    groups = [
        {"params": encoders, "lr": ENCODER_RATE},
        {"params": [*network.decoder.parameters()], "lr": DECODER_RATE},
        {"params": [*network.decoder.noises.buffers()], "lr": DECODER_RATE},
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    people, ages = album.years.shape
    network.train()
    started, shown = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        faces, years, wanted = album.pairs(
            torch.randint(people, (batch,)),
            torch.randint(ages, (batch,)),
            torch.randint(ages, (batch,)),
        )
        loss = loss_of(network(faces, years), wanted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        rate.step()
        shown += loss.item()
        if step % 50 == 0:
            print(
                f"step {step} loss {shown / 50:.4f} {time.monotonic() - started:.0f} s", flush=True
            )
            shown = 0.0


def main() -> None:
    """Draw, train, judge on people never seen, and write the weights and the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = new_network()
    album = Album(PEOPLE, AGES, seed=1)
    train(network, album, options.steps, options.batch)
    save(network.eval(), options.weights)
    verdict = judge(load_network(options.weights).float(), HELD_OUT_PEOPLE, HELD_OUT_SEED)
    print(
        f"{HELD_OUT_PEOPLE} people never seen: {verdict.psnr:.1f} dB, "
        f"{verdict.years:.1f} years off, {verdict.recognised:.0%} recognised"
    )
    draw(random_person(np.random.default_rng(EXAMPLE_SEED)), 25, LARGE).save(EXAMPLE)


def save(network: AgeingNetwork, path: Path) -> None:
    """Write the published file's layout; half precision, which is finer than 8-bit pixels."""
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }
    opts = {"input_nc": 4, "output_size": SIDE, "start_from_encoded_w_plus": True}
    torch.save({"state_dict": state, "latent_avg": network.latent_avg, "opts": opts}, path)


if __name__ == "__main__":
    main()
