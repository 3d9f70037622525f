"""The script that SageMaker's PyTorch toolkit runs: it becomes code/inference.py."""

import json
from typing import Any

from torch import Tensor

from bench.contenders.network import Classifier, pixels_of


def model_fn(model_dir: str) -> Classifier:
    """Return the network."""
    return Classifier()


def input_fn(body: bytes, content_type: str) -> Tensor:
    """Return the picture, uint8 (3, 32, 32)."""
    return pixels_of(bytes(body))


def predict_fn(picture: Tensor, model: Classifier) -> dict[str, float]:
    """Return class -> probability."""
    return model.answers([picture])[0]


def output_fn(answer: dict[str, float], accept: str) -> tuple[Any, str]:
    """Return the answer as JSON."""
    return json.dumps(answer), "application/json"
