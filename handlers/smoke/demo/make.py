"""Make the demo weights: teach the network to find smoke in drawn scenes.

    python -m handlers.smoke.demo.make [--steps 600]
    python -m handlers.smoke.demo.make --picture

The first trains on one CPU core in seven minutes, prints how well the masks overlap on
scenes the network has not seen, and writes ``smoke.pth`` beside this file and the example. The
second draws a large scene with its overlay for the documentation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from handlers.smoke.demo.export import write_geotiff
from handlers.smoke.demo.scenes import Random, draw
from handlers.smoke.model import SmokeNet, load_network
from handlers.smoke.overlay import overlay
from handlers.smoke.stitch import predict

HERE = Path(__file__).parent
WEIGHTS = HERE / "smoke.pth"
EXAMPLE = HERE.parent / "example.tif"
PICTURE = HERE.parents[2] / "docs" / "images" / "smoke.jpg"

SEED, FRESH_SEED, EXAMPLE_SEED, PICTURE_SEED = 11, 1_000_003, 7, 21
SCENES, FRESH_SCENES = 160, 64
CROP, BATCH = 128, 6
LEARNING_RATE = 4e-3
NEEDED = 0.80

Sample = tuple[Tensor, Tensor]


def main() -> int:
    """Train or draw; return 1 if the network is not good enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--picture", action="store_true", help="draw the picture for the docs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.picture:
        save_picture(load_network(options.out), PICTURE)
        return 0
    network = train(options.steps)
    torch.save(network.state_dict(), options.out)
    bands, _ = draw(np.random.default_rng(EXAMPLE_SEED))
    write_geotiff(EXAMPLE, bands)
    iou = overlap(network, samples(FRESH_SCENES, FRESH_SEED))
    print(f"intersection over union on {FRESH_SCENES} scenes not trained on: {iou:.3f}")
    return 0 if iou >= NEEDED else 1


def samples(count: int, seed: int) -> list[Sample]:
    """Draw ``count`` scenes: uint8 (6, 256, 256) and float (1, 256, 256), 1 where smoke is."""
    rng = np.random.default_rng(seed)
    drawn = [draw(rng) for _ in track(range(count), "scenes")]
    return [
        (torch.from_numpy(bands).permute(2, 0, 1), torch.from_numpy(truth)[None].float())
        for bands, truth in drawn
    ]


def train(steps: int) -> SmokeNet:
    """Return a trained network, in evaluation mode."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    scenes = samples(SCENES, SEED)
    network = SmokeNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in track(range(steps), "training"):
        bands, truth = batch(scenes, rng)
        loss = mask_loss(network.logits(bands), truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    settle(network, scenes)
    return network.eval()


def mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, plus one minus the soft Dice overlap, which small plumes weigh in too."""
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    found = logits.sigmoid()
    dice = (2 * (found * truth).sum() + 1) / (found.sum() + truth.sum() + 1)
    return entropy + 1 - dice


def batch(scenes: list[Sample], rng: Random) -> Sample:
    """Cut random squares, mirrored and turned: (N, 6, S, S) and (N, 1, S, S)."""
    pairs = []
    for index in rng.integers(len(scenes), size=BATCH):
        both = torch.cat([scenes[index][0].float(), scenes[index][1]])
        top, left = rng.integers(both.shape[1] - CROP + 1, size=2)
        square = both[:, top : top + CROP, left : left + CROP]
        square = torch.rot90(square, int(rng.integers(4)), (1, 2))
        pairs.append(square.flip(2) if rng.random() < 0.5 else square)
    stacked = torch.stack(pairs)
    bands = stacked[:, :-1].contiguous(memory_format=torch.channels_last)
    return bands, stacked[:, -1:]


def settle(network: SmokeNet, scenes: list[Sample]) -> None:
    """Average the norms' statistics over many whole tiles; running ones are the last batch's."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    with torch.inference_mode():
        for start in range(0, len(scenes) // 2, 4):
            network(torch.stack([bands.float() for bands, _ in scenes[start : start + 4]]))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def overlap(network: SmokeNet, scenes: list[Sample]) -> float:
    """Return intersection over union of the masks at 0.5, over all pixels of all scenes."""
    common = either = 0
    with torch.inference_mode():
        for bands, truth in scenes:
            found, wanted = network(bands[None].float())[0] >= 0.5, truth > 0.5
            common += int((found & wanted).sum())
            either += int((found | wanted).sum())
    return common / either


def save_picture(network: SmokeNet, path: Path) -> None:
    """Save a scene of nine windows beside its overlay, a quarter as large."""
    bands, _ = draw(np.random.default_rng(PICTURE_SEED), 2048, 2048)
    with torch.inference_mode():
        found = predict(network, torch.from_numpy(bands).permute(2, 0, 1)[None])[0, 0].numpy()
    plain = overlay(bands, np.zeros_like(found), threshold=1.0)
    both = Image.fromarray(np.concatenate([plain, overlay(bands, found)], axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    both.resize((1024, 512), Image.Resampling.LANCZOS).save(path, quality=88)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
