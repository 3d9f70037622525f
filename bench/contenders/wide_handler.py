"""The runtime around a model that does nothing: reads an array or a picture, answers 15 MB."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from handlers.runtime import JSON, NPY, Request, Result, VisionHandler

SIDE = 2236


class WideHandler(VisionHandler):
    """Answers an array with the number of its elements as JSON, or a plain array as npy."""

    produces = (JSON, NPY)

    def load(self) -> nn.Module:
        """Nothing."""
        return nn.Identity()

    def preprocess(self, request: Request) -> Tensor:
        """Return (1, 1, 1): how many numbers came."""
        payload = request.payload
        numbers: Any = payload.array() if payload.is_array else np.asarray(payload.image())
        return torch.full((1, 1, 1), float(numbers.size))

    def postprocess(self, output: Tensor, request: Request) -> Result:
        """The number, and an array of 15 MB."""
        array = np.zeros((3, SIDE, SIDE), np.uint8).transpose(1, 2, 0)
        return Result(json={"numbers": int(output)}, array=array)
