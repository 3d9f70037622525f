"""Load a model's handler in this process, as a worker does, and send it requests."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.gpu_archive import Context
from handlers.runtime import VisionHandler
from handlers.runtime.exchange import Answer, Exchange

Handler = TypeVar("Handler", bound=VisionHandler)


def load(handler: Handler, weights: Path, **config: Any) -> Handler:
    """Initialize ``handler`` with a weight file and settings of its model-config.yaml.

    Explanations get an hour: how long they take is the machine's, not the test's.
    """
    config = {"responseTimeout": 7200} | config
    marquee = {"threads": 1} | config.pop("marquee", {})
    handler.initialize(
        Context(
            manifest={"model": {"serializedFile": weights.name}},
            system_properties={"model_dir": str(weights.parent), "gpu_id": None},
            model_yaml_config=config | {"marquee": marquee},
        )
    )
    return handler


def prediction(body: bytes, /, **headers: str) -> Exchange:
    """Make a request to ``/predictions``; ``_`` in the name of a header becomes ``-``."""
    return Exchange({"body": body}, {name.replace("_", "-"): headers[name] for name in headers})


def explanation(body: bytes, /, **headers: str) -> Exchange:
    """Make a request to ``/explanations``, which TorchServe marks by a header of its own."""
    return prediction(body, **headers, explain="True")


def answers(handler: VisionHandler, *exchanges: Exchange) -> list[Answer]:
    """Send requests as one batch."""
    handler.answer([*exchanges])
    return [one.answer for one in exchanges if one.answer is not None]


def png(pixels: NDArray[Any]) -> bytes:
    """Return uint8 (H, W, 3) as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def array(answer: Answer) -> NDArray[Any]:
    """Read an answer of type application/x-npy."""
    loaded: NDArray[Any] = np.load(io.BytesIO(answer.body))
    return loaded
