"""What every server does with a request, so that only the serving differs.

BENCH_WEIGHTS names the weight file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from handlers.cifar.model import CLASSES, SIZE, load_network, normalise


def pixels_of(body: bytes, reduced: bool = False) -> Tensor:
    """Decode an image file: uint8 (3, 32, 32).

    Args:
        body: the file's bytes.
        reduced: decode a JPEG at the smallest scale that has twice the pixels wanted.
    """
    picture = Image.open(io.BytesIO(body))
    if reduced:
        picture.draft("RGB", (2 * SIZE, 2 * SIZE))
    small = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


class Classifier:
    """The network, ready to answer.

    Args:
        weights: the weight file; without it the environment names it.
    """

    def __init__(self, weights: Path | None = None) -> None:
        torch.set_num_threads(1)  # its threads spin while they wait, and take turns badly
        self._network = load_network(weights or Path(os.environ["BENCH_WEIGHTS"]))

    def probabilities(self, batch: Tensor) -> list[list[float]]:
        """Return the ten probabilities of each picture of uint8 (N, 3, 32, 32)."""
        with torch.inference_mode():
            rows: list[list[float]] = self._network(normalise(batch)).softmax(dim=1).tolist()
        return rows

    def answers(self, pictures: Sequence[Tensor]) -> list[dict[str, float]]:
        """Return class -> probability of each picture, asked as one batch."""
        rows = self.probabilities(torch.stack(list(pictures)))
        return [dict(zip(CLASSES, row, strict=True)) for row in rows]

    def answer(self, body: bytes) -> dict[str, float]:
        """Return class -> probability of one image file."""
        return self.answers([pixels_of(body)])[0]
