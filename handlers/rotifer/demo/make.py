"""Make the demo weights and the example picture, on one CPU core in about a quarter of an hour.

python -m handlers.rotifer.demo.make

Draws scenes, trains the network of ``rotifer.cfg`` on them, writes darknet's own ``.weights``,
reads that file back as any user's, and prints its mean average precision on fresh scenes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

from handlers.rotifer.cfg import read_cfg
from handlers.rotifer.demo.organisms import Random
from handlers.rotifer.demo.scenes import Scene, draw_scene
from handlers.rotifer.demo.score import average_precisions, detect
from handlers.rotifer.demo.training import Average, exported, loss, trainable
from handlers.rotifer.model import Darknet, load_network
from handlers.rotifer.pictures import draw, resize
from handlers.rotifer.weights import write_weights

DEMO = Path(__file__).parent
CFG, WEIGHTS, NAMES = (DEMO / f"rotifer.{kind}" for kind in ("cfg", "weights", "names"))
EXAMPLE = DEMO.parent / "example.png"

SEED, FRESH_SEED, EXAMPLE_SEED = 11, 1_000_003, 2_000_004
SCENES, FRESH_SCENES = 500, 200
BATCH, STEPS, LEARNING_RATE = 12, 1700, 3e-3
NEEDED = 0.80


def main() -> int:
    """Make everything; return 1 if the network is not good enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--picture", type=Path, help="save the example with its boxes there")
    parser.add_argument("--score-only", action="store_true", help="only measure existing weights")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.score_only:
        network = train(options.steps)
        write_weights(options.out, exported(network), seen=BATCH * options.steps)
        example = draw_scene(np.random.default_rng(EXAMPLE_SEED), 512)
        Image.fromarray(example.pixels).save(EXAMPLE, optimize=True)
    return report(load_network(CFG, options.out), options.picture)


def train(steps: int) -> Darknet:
    """Train on drawn scenes; returns the running average of the weights, in eval mode."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    network = trainable(Darknet(read_cfg(CFG))).train()
    scenes = [shrunk(draw_scene(random), network) for _ in track(range(SCENES), "scenes")]
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    average = Average(network)
    for step in track(range(steps), "training"):
        pictures, chosen = batch(scenes, random)
        error = loss(network, pictures, chosen)
        optimizer.zero_grad()
        torch.autograd.backward(error)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        average.follow(network)
        if step % 100 == 0:
            print(f"step {step}: loss {error.item():.3f}", flush=True)
    return average.network


def shrunk(scene: Scene, network: Darknet) -> Scene:
    """Return a scene as the network sees it, rounded to 8 bits."""
    small = resize(scene.pixels, network.size).transpose(1, 2, 0)
    return Scene((small * 255).round().astype(np.uint8), scene.boxes, scene.classes)


def batch(scenes: list[Scene], random: Random) -> tuple[Tensor, list[Scene]]:
    """Choose scenes and vary them; returns (N, 3, side, side) in [0, 1] beside them."""
    chosen = [vary(scenes[i], random) for i in random.integers(len(scenes), size=BATCH)]
    light = torch.from_numpy(random.uniform(0.85, 1.15, (BATCH, 3, 1, 1)).astype(np.float32))
    stacked = torch.from_numpy(np.stack([scene.pixels for scene in chosen]))
    pictures = stacked.permute(0, 3, 1, 2).float() / 255 * light
    return pictures.clamp(0, 1).contiguous(memory_format=torch.channels_last), chosen


def vary(scene: Scene, random: Random) -> Scene:
    """Mirror and turn a square scene by right angles."""
    pixels, boxes = scene.pixels, scene.boxes.astype(np.float64)
    if random.random() < 0.5:
        pixels, boxes = pixels[:, ::-1], boxes * [-1, 1, 1, 1] + [1, 0, 0, 0]
    if random.random() < 0.5:
        pixels, boxes = pixels[::-1], boxes * [1, -1, 1, 1] + [0, 1, 0, 0]
    if random.random() < 0.5:
        pixels, boxes = pixels.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return Scene(pixels, boxes.astype(np.float32), scene.classes)


def report(network: Darknet, picture: Path | None) -> int:
    """Print the precision on scenes that were not trained on; 1 if it is too low."""
    random = np.random.default_rng(FRESH_SEED)
    scenes = [draw_scene(random) for _ in range(FRESH_SCENES)]
    precisions = average_precisions(network, scenes)
    for name, precision in zip(NAMES.read_text().split("\n"), precisions, strict=False):
        print(f"{name}: average precision {precision:.3f}")
    mean = float(np.mean(precisions))
    print(f"mean average precision at IoU 0.5 on {FRESH_SCENES} held-out scenes: {mean:.3f}")
    if picture:
        example = draw_scene(np.random.default_rng(EXAMPLE_SEED), 512)
        drawn = draw(example.pixels, detect(network, example, 0.25))
        Image.fromarray(drawn).save(picture)
    return 0 if mean >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
