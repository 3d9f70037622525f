"""The peer: a TorchServe handler as short as it can be, with the same network and answer.

No checks, no content types, no limits: a lower bound of what a handler costs.
"""

import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from handlers.cifar.model import CLASSES, load_network, normalise


class BareHandler:
    def initialize(self, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        torch.set_num_threads(1)
        model_dir = Path(context.system_properties["model_dir"])
        self.network = load_network(next(model_dir.glob("*.pth")))

    def handle(self, rows, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        images = [
            Image.open(io.BytesIO(row["body"])).convert("RGB").resize((32, 32)) for row in rows
        ]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
        with torch.inference_mode():
            rows_of = self.network(normalise(pixels.permute(0, 3, 1, 2))).softmax(dim=1).tolist()
        return [json.dumps(dict(zip(CLASSES, row, strict=True))) for row in rows_of]
