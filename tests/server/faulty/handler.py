"""A model that fails as it is told to, so that the runtime's answers to failure can be tested.

The first pixel's red value is the fault; see ``FAULTS``.
"""

import numpy as np
import torch
from torch import Tensor, nn

from handlers.faulty.model import FAULTS, Faulty
from handlers.runtime import JSON, NPY, PNG, Request, Result, VisionHandler
from handlers.runtime.weights import fit_state, read_state


class FaultyHandler(VisionHandler):
    produces = (JSON, PNG, NPY)

    def load(self) -> nn.Module:
        network: nn.Module = Faulty()
        fit_state(network, read_state(self.weights), self.weights)
        return network

    def preprocess(self, request: Request) -> Tensor:
        pixels = torch.from_numpy(np.array(request.payload.image())).permute(2, 0, 1)
        if int(pixels[0, 0, 0]) == FAULTS["raise in preprocess"]:
            raise ZeroDivisionError("told to")
        return pixels.float()

    def postprocess(self, output: Tensor, request: Request) -> Result:
        fault = int(output)
        if fault == FAULTS["raise in postprocess"]:
            raise LookupError("told to, with a secret")
        if fault == FAULTS["NaN in JSON"]:
            return Result(json={"value": float("nan")})
        if fault == FAULTS["huge answer"]:
            return Result(array=np.zeros(6_000_000, np.float32))
        if fault == FAULTS["large answer"]:
            return Result(array=np.zeros(3_000_000, np.float32))
        return Result(json={"fault": fault}, image=np.full((8, 8, 3), fault, np.uint8))
