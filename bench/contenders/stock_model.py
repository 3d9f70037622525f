"""The network as TorchServe's own handlers want it: a file with one class."""

import os
from pathlib import Path

from torch import Tensor, nn

from handlers.cifar.model import load_network


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = load_network(Path(os.environ["BENCH_WEIGHTS"]))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 10)."""
        logits: Tensor = self.network(images)
        return logits
