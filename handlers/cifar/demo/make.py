"""Make the demo weights and the example picture, on one CPU core in under ten minutes.

python -m handlers.cifar.demo.make
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from handlers.cifar.data import draw_dataset
from handlers.cifar.demo.scenes import Pixels, draw
from handlers.cifar.model import CLASSES, SIZE, load_network, normalise
from handlers.cifar.train import main as train
from handlers.cifar.trainer import evaluate

DEMO = Path(__file__).parent
EXAMPLE = DEMO.parent / "example.png"
EXAMPLE_LABEL, EXAMPLE_SEED = CLASSES.index("ship"), 8  # chosen by eye
EXAMPLE_SURE = 0.99

# VGG11 at a quarter of its width stays small enough for git; LeNet is at full width.
RECIPES = {
    "lenet": ["--width", "32", "--epochs", "30"],
    "vgg11": ["--width", "16", "--epochs", "20"],
}
TRAINING_PICTURES = 12_000
FRESH_PICTURES, FRESH_SEED = 2000, 1_000_003
NEEDED = 0.90


def make_weights(name: str) -> nn.Module:
    """Train ``name`` on drawn pictures into ``demo/NAME.pth`` and return it.

    Raises:
        RuntimeError: training failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        common = ["--network", name, "--drawn", str(TRAINING_PICTURES), "--model-dir", folder]
        if status := train([*common, *RECIPES[name]]):
            raise RuntimeError(f"training {name} ended with status {status}")
        shutil.copy(Path(folder) / "final.pth", DEMO / f"{name}.pth")
    return load_network(DEMO / f"{name}.pth")


def make_example(networks: Iterable[nn.Module]) -> Pixels:
    """Draw the example, larger than the networks see it: uint8 (256, 256, 3).

    Raises:
        RuntimeError: one of the networks is not sure of it.
    """
    picture = draw(EXAMPLE_LABEL, np.random.default_rng(EXAMPLE_SEED), 256)
    if min(probability(network, picture, EXAMPLE_LABEL) for network in networks) < EXAMPLE_SURE:
        raise RuntimeError("the networks are not sure of the example; choose another EXAMPLE_SEED")
    return picture


@torch.inference_mode()
def probability(network: nn.Module, picture: Pixels, label: int) -> float:
    """Return the smaller of the probabilities of ``label`` after two ways to reduce."""
    ways = (Image.Resampling.BOX, Image.Resampling.BILINEAR)
    small = [np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), way)) for way in ways]
    images = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)  # (2, 3, 32, 32)
    return float(network(normalise(images)).softmax(1)[:, label].min())


def main() -> int:
    """Make everything; return 1 if a network is not good enough."""
    networks = {name: make_weights(name) for name in RECIPES}
    fresh = draw_dataset(FRESH_PICTURES, FRESH_SEED)
    scores = {name: evaluate(network, fresh)[1] for name, network in networks.items()}
    for name, accuracy in scores.items():
        print(f"{name}: {accuracy:.1%} of {FRESH_PICTURES} freshly drawn pictures are right")
    Image.fromarray(make_example(networks.values())).save(EXAMPLE, optimize=True)
    return 0 if min(scores.values()) >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
