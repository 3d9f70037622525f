"""How far a JPEG decoded at reduced scale moves cifar's probabilities, and what it spares.

    .venv/bin/python -m bench.reduced_decoding

The pictures of the repository in eleven sizes and two shapes, as JPEG of quality 85, read whole
and with several margins (how much larger than needed a reduced picture stays at least).
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from handlers.cifar.model import load_network, normalise
from handlers.runtime import images
from tests.support import ROOT

MARGINS = (2, 3, 4, 6, 8)
SIDES = (100, 160, 256, 300, 400, 512, 640, 800, 1024, 1500, 1920)
SHAPES = (1.0, 0.5625)
SIZE = (32, 32)
LIMIT = 1 << 26


def files() -> Iterator[bytes]:
    """Yield the repository's pictures, in all sizes and shapes."""
    for pattern in ("handlers/*/example.*", "docs/images/*", "tests/golden/**/*"):
        for path in sorted(ROOT.glob(pattern)):
            if path.suffix in (".jpg", ".png"):
                yield from _scaled(Image.open(path).convert("RGB"))


def _scaled(picture: Image.Image) -> Iterator[bytes]:
    for side in SIDES:
        for shape in SHAPES:
            stream = io.BytesIO()
            picture.resize((side, int(side * shape))).save(stream, "JPEG", quality=85)
            yield stream.getvalue()


@torch.inference_mode()
def probabilities(network: nn.Module, picture: Image.Image) -> Tensor:
    """Return (10,) for a picture of any size."""
    small = np.array(picture.resize(SIZE, Image.Resampling.BILINEAR)).transpose(2, 0, 1)[None]
    row: Tensor = network(normalise(torch.from_numpy(small)))[0].softmax(dim=0)
    return row


def main() -> None:
    """Print a row for each margin."""
    torch.set_num_threads(1)
    networks = [load_network(p) for p in sorted(ROOT.glob("handlers/cifar/demo/*.pth"))]
    moved: dict[int, list[float]] = {margin: [] for margin in MARGINS}
    took: dict[int, float] = dict.fromkeys(MARGINS, 0.0)
    for data in files():
        whole = images.open_image(data, max_pixels=LIMIT)
        right = [probabilities(network, whole) for network in networks]
        for margin in MARGINS:
            images.REDUCED_MARGIN = margin
            start = time.process_time()
            reduced = images.open_image(data, max_pixels=LIMIT, reduced_to=SIZE)
            took[margin] += time.process_time() - start
            found = [probabilities(network, reduced) for network in networks]
            pairs = zip(found, right, strict=True)
            moved[margin].append(max(float((a - b).abs().max()) for a, b in pairs))
    for margin, by in moved.items():
        sys.stdout.write(
            f"margin {margin}: {len(by)} pictures, moved by {statistics.mean(by):.4f} on average, "
            f"{statistics.quantiles(by, n=100)[98]:.3f} p99, {max(by):.3f} at most; "
            f"{took[margin] * 1000 / len(by):.2f} CPU-ms to decode\n"
        )


if __name__ == "__main__":
    main()
