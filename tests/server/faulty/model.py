"""The network of the faulty model."""

import os
import time

import torch
from torch import Tensor, nn

FAULTS = {
    "none": 0,
    "raise in preprocess": 1,
    "raise in postprocess": 2,
    "raise in the network": 3,
    "out of memory above two": 4,
    "out of memory always": 5,
    "device lost": 6,
    "worker killed": 7,
    "NaN in JSON": 8,
    "huge answer": 9,
    "large answer": 10,
    "slow": 11,
}


class Faulty(nn.Module):
    """Returns the red value of each item's first pixel, or fails as it says."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, batch: Tensor) -> Tensor:
        told = batch[:, 0, 0, 0] * self.scale
        faults = [int(value) for value in told]
        if FAULTS["raise in the network"] in faults:
            raise ValueError("told to")
        if FAULTS["out of memory always"] in faults:
            raise torch.OutOfMemoryError("told to")
        if FAULTS["out of memory above two"] in faults and len(faults) > 2:
            raise torch.OutOfMemoryError("told to")
        if FAULTS["device lost"] in faults:
            raise torch.AcceleratorError("CUDA error: an illegal memory access (told to)")
        if FAULTS["worker killed"] in faults:
            os.abort()
        if FAULTS["slow"] in faults:
            time.sleep(1)
        return told
