"""Load a model's handler in this process, as a worker does, and send it requests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlers.runtime import VisionHandler
from handlers.runtime.exchange import Answer, Exchange

Handler = TypeVar("Handler", bound=VisionHandler)


@dataclass
class WorkerContext:
    """What TorchServe tells a worker about its model."""

    manifest: Mapping[str, Any] | None
    system_properties: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any] | None
    model_name: str = "tested"
    metrics: Any = None
    statuses: dict[int, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        return {}

    def get_request_id(self, idx: int = 0) -> str | None:
        return None

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.statuses[idx] = code

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.headers[f"{idx} {key}"] = value


def load(handler: Handler, weights: Path, **config: Any) -> Handler:
    """Initialize ``handler`` with a weight file and settings of its model-config.yaml.

    Explanations get an hour: how long they take is the machine's, not the test's.
    """
    config = {"responseTimeout": 7200} | config
    marquee = {"threads": 1} | config.pop("marquee", {})
    handler.initialize(
        WorkerContext(
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
