"""An unpacked archive as a worker has it, without TorchServe: for machines that have only PyTorch.

Call ``enter`` before anything of ``handlers`` is imported: what is then imported is the archive's.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIG = "model-config.json"  # model-config.yaml, for a Python that reads no YAML
MANIFEST = Path("MAR-INF") / "MANIFEST.json"


@dataclass
class Context:
    """As much of TorchServe's context as a worker looks at."""

    manifest: Mapping[str, Any] | None
    system_properties: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any] | None
    model_name: str = "tried"
    metrics: Any = None
    statuses: dict[int, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        """Every request is a bare body."""
        return {}

    def get_request_id(self, idx: int = 0) -> str | None:
        """Requests have no id."""
        return None

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Keep the status for who asks."""
        self.statuses[idx] = code

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Keep the header for who asks."""
        self.headers[f"{idx} {key}"] = value


def enter(archive: Path) -> None:
    """Let ``handlers`` be the archive's own copy."""
    sys.path.insert(0, str(archive.resolve()))


def handler_class(archive: Path) -> Any:
    """Return the class that the archive's ``handler.py`` defines."""
    spec = importlib.util.spec_from_file_location("archived_handler", archive / "handler.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{archive} has no handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = (value for value in vars(module).values() if isinstance(value, type))
    return next(kind for kind in own if kind.__module__ == module.__name__)


def load(archive: Path, weights: Path, gpu_id: int | None, **settings: Any) -> Any:
    """Return the archive's handler, loaded with a weight file and settings of ``marquee:``.

    Where ``weights`` is the archive's own, its example is answered as well.
    """
    config = json.loads((archive / CONFIG).read_text())
    section = {**config.get("marquee", {}), **settings}
    return start(handler_class(archive)(), weights, gpu_id, config | {"marquee": section})


def start(handler: Any, weights: Path, gpu_id: int | None, config: Mapping[str, Any]) -> Any:
    """Initialize a handler; what lies beside the weights is its model folder."""
    context = Context(
        manifest={"model": {"serializedFile": weights.name}},
        system_properties={
            "model_dir": str(weights.parent),
            "gpu_id": gpu_id,
            "batch_size": int(config.get("batchSize", 1)),
        },
        model_yaml_config=config,
    )
    handler.initialize(context)
    return handler


def own_weights(archive: Path) -> Path:
    """Return the archive's own weight file."""
    manifest = json.loads((archive / MANIFEST).read_text())
    return archive / str(manifest["model"]["serializedFile"])


def ask(handler: Any, *requests: tuple[bytes, Mapping[str, str]]) -> list[Any]:
    """Send bodies with headers as one batch; return the answers.

    Raises:
        RuntimeError: one was not answered with 200.
    """
    from handlers.runtime.exchange import Exchange  # noqa: PLC0415 - the archive's own

    exchanges = [Exchange({"body": body}, dict(headers)) for body, headers in requests]
    handler.answer(exchanges)
    answers = [exchange.answer for exchange in exchanges]
    for exchange, answer in zip(exchanges, answers, strict=True):
        if answer is None or answer.status != 200:
            raise RuntimeError(f"answered with {exchange.outcome}")
    return answers


@dataclass
class Report:
    """Findings, a line of JSON each, written at once: who is killed leaves what it had."""

    path: Path

    def add(self, kind: str, **values: Any) -> None:
        """Write one finding."""
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, "time": time.time(), **values}) + "\n")
