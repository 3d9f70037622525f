"""Make the demo weights: teach a narrow generator to paint as the classical filters do.

    python -m handlers.inkwash.demo.make [--photos DIR] [--steps 4000]
    python -m handlers.inkwash.demo.make --picture

The first trains for about half an hour on one CPU core, prints how close the
network comes on pictures it has not seen, and writes ``latest_net_G.pth`` beside
this file. The second paints ``example.jpg`` for the documentation.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from handlers.inkwash.demo.classical import ink_wash
from handlers.inkwash.demo.scenes import scene
from handlers.inkwash.demo.things import Random
from handlers.inkwash.model import Generator, load_generator
from handlers.inkwash.paint import paint

HERE = Path(__file__).parent
WEIGHTS = HERE / "latest_net_G.pth"
EXAMPLE = HERE.parent / "example.jpg"
PICTURE = HERE.parents[2] / "docs" / "images" / "inkwash.jpg"

NGF = 20  # 4.5 MB in float32
SEED = 7
SCENES = 200
PHOTO_SHARE = 0.65
# Sides of the crops and how many make a batch: about the same work each.
CROPS = ((128, 3), (160, 2), (192, 1), (256, 1))
LEARNING_RATE = 1.2e-3
EDGE_WEIGHT = 0.5
AVERAGING = 0.998


def main() -> None:
    """Train, or paint the documentation's picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs to learn from as well")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--picture", action="store_true", help="paint the picture for the docs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.picture:
        save_picture(load_generator(options.out), PICTURE)
        return
    generator = train(read_photos(options.photos), options.steps)
    torch.save(generator.state_dict(), options.out)
    report(generator)


def train(photos: list[Tensor], steps: int) -> Generator:
    """Distil the classical rendering; returns the running average of the weights, in eval mode."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    scenes = [to_bytes(scene(random)) for _ in track(range(SCENES), "scenes")]
    generator = Generator(ngf=NGF)
    average = copy.deepcopy(generator)
    optimizer = torch.optim.Adam(generator.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.05
    )
    for step in track(range(steps), "training"):
        loss = imitation_loss(generator, *draw_batch(photos, scenes, random))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        follow(average, generator, min(AVERAGING, step / (step + 10)))
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    return average.eval()


def imitation_loss(generator: Generator, photos: Tensor, targets: Tensor) -> Tensor:
    """L1 distance of pictures and of their differences between neighbours, in [-1, 1] units."""
    with torch.autocast("cpu", torch.bfloat16):
        painted = generator(2 * photos - 1).float()
    error = painted - (2 * targets - 1)
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    total: Tensor = error.abs().mean() + EDGE_WEIGHT * edges
    return total


def follow(average: Generator, generator: Generator, keep: float) -> None:
    """Move ``average`` a little towards ``generator``."""
    with torch.no_grad():
        pairs = zip(average.parameters(), generator.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1 - keep)


def draw_batch(photos: list[Tensor], scenes: list[Tensor], random: Random) -> tuple[Tensor, Tensor]:
    """Draw crops and their classical renderings: two (N, 3, S, S) in [0, 1]."""
    side, count = CROPS[random.integers(len(CROPS))]
    crops = []
    for _ in range(count):
        pool = photos if photos and random.random() < PHOTO_SHARE else scenes
        crops.append(vary(crop(pool[random.integers(len(pool))], side, random), random))
    return torch.stack(crops), torch.stack([ink_wash(picture) for picture in crops])


def crop(picture: Tensor, side: int, random: Random) -> Tensor:
    """Cut a random square from (3, H, W) uint8, scale it to (3, side, side) in [0, 1]."""
    height, width = picture.shape[1:]
    # From enlarged by a third up to the whole picture, each octave alike.
    extent = np.exp(random.uniform(np.log(0.75 * side), np.log(min(height, width))))
    taken = min(round(extent), height, width)
    top, left = (int(random.integers(n - taken + 1)) for n in (height, width))
    square = picture[None, :, top : top + taken, left : left + taken].float() / 255
    return functional.interpolate(square, (side, side), mode="bilinear", antialias=True)[0].clamp(
        0, 1
    )


def vary(picture: Tensor, random: Random) -> Tensor:
    """Mirror, and change exposure, contrast and the colour of the light."""
    if random.random() < 0.5:
        picture = picture.flip(2)
    if random.random() < 0.15:
        picture = picture.transpose(1, 2)
    cast = torch.from_numpy(random.uniform(0.8, 1.2, (3, 1, 1)).astype(np.float32))
    gamma, contrast = random.uniform(0.7, 1.4), random.uniform(0.6, 1.1)
    picture = picture**gamma * cast
    picture = 0.5 + contrast * (picture - 0.5)
    if random.random() < 0.15:
        picture = picture.mean(0, keepdim=True).expand(3, -1, -1)
    return picture.clamp(0, 1)


def read_photos(folder: Path | None) -> list[Tensor]:
    """Read all pictures of a folder as (3, H, W) uint8."""
    paths = sorted(folder.iterdir()) if folder else []
    return [to_bytes(read(path)) for path in paths if path.suffix in {".png", ".jpg", ".jpeg"}]


def read(path: Path, short: int | None = None) -> Tensor:
    """Read a picture as (3, H, W) in [0, 1], its shorter side scaled to ``short``."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if short:
        scale = short / min(picture.size)
        size = round(picture.width * scale), round(picture.height * scale)
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def to_bytes(picture: Tensor) -> Tensor:
    """Round [0, 1] to uint8."""
    return (picture.clamp(0, 1) * 255).round().byte()


def painted(generator: Generator, photo: Tensor) -> Tensor:
    """Paint (3, H, W) in [0, 1] and cut the result to the same size."""
    out = (paint(generator, 2 * photo[None] - 1)[0] + 1) / 2
    return out[:, : photo.shape[1], : photo.shape[2]]


def report(generator: Generator) -> None:
    """Print the distance to the classical rendering on pictures that were not trained on."""
    random = np.random.default_rng(SEED + 1)
    scenes = [functional.avg_pool2d(scene(random), 2) for _ in range(16)]
    for name, pictures in (("scenes", scenes), ("example.jpg", [read(EXAMPLE, 256)])):
        l1, psnr = distance(generator, pictures)
        print(f"held-out {name}: L1 {l1:.4f} of 1, PSNR {psnr:.1f} dB")


def distance(generator: Generator, pictures: Iterable[Tensor]) -> tuple[float, float]:
    """Return mean L1 in [0, 1] units and mean PSNR in dB over ``pictures``."""
    errors = [painted(generator, picture) - ink_wash(picture) for picture in pictures]
    l1 = [error.abs().mean().item() for error in errors]
    psnr = [-10 * error.square().mean().log10().item() for error in errors]
    return float(np.mean(l1)), float(np.mean(psnr))


def save_picture(generator: Generator, path: Path) -> None:
    """Save the example and its painting side by side."""
    photo = read(EXAMPLE, 376)
    both = to_bytes(torch.cat([photo, painted(generator, photo)], 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(both.permute(1, 2, 0).numpy()).save(path, quality=88)
    print(f"{path}: {both.shape[2]} x {both.shape[1]}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
