"""A worker without a server: an unpacked archive, loaded and asked as TorchServe does it.

For a process of its own, since the archive's modules are imported from the archive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marquee.archives import packed

Part = tuple[str, str, bytes]


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        headers: as a client sends them.
        body: of a request that is not multipart; a JSON value where a server has parsed it.
        parts: name, content type and contents of each part of a multipart request.
    """

    headers: Mapping[str, str]
    body: Any = b""
    parts: tuple[Part, ...] = ()

    def row(self, request_id: str) -> dict[str, Any]:
        """Return the request as TorchServe's frontend hands it to a worker."""
        parts = self.parts or (() if self.body is None else (("body", "", self.body),))
        return {
            "requestId": request_id.encode(),
            "parameters": [
                {"name": name, "contentType": kind.encode() or None, "value": value}
                for name, kind, value in parts
            ],
            "headers": [
                {"name": name.encode(), "value": value.encode()}
                for name, value in self.headers.items()
            ],
        }


@dataclass(frozen=True)
class Reply:
    """An answer; ``raised`` tells what the handler let escape, for which TorchServe says 503."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    raised: str | None = None


class Worker:
    """A loaded model.

    Args:
        folder: the unpacked archive; must come first on ``sys.path``.
        batch_size: of the batches it will be asked.
    """

    def __init__(self, folder: Path, batch_size: int = 1) -> None:
        from ts.model_loader import ModelLoaderFactory  # noqa: PLC0415 - torch takes seconds

        manifest = packed.read(folder)
        self._service = ModelLoaderFactory.get_model_loader().load(
            manifest.name,
            str(folder),
            manifest.handler,
            gpu_id=None,
            batch_size=batch_size,
            metrics_cache=_metrics(),
        )

    @property
    def handler(self) -> Any:
        """The handler's object, or its module's function."""
        entry = self._service._entry_point
        return getattr(entry, "__self__", entry)

    def ask(self, *asked: Asked) -> list[Reply]:
        """Send requests as one batch; one reply for each."""
        batch = [one.row(f"request-{index}") for index, one in enumerate(asked)]
        headers, rows, ids = self._service.retrieve_data_for_inference(batch)
        context = self._service.context
        context.request_ids, context.request_processor = ids, headers
        context.metrics.request_ids = ids
        try:
            bodies = self._service._entry_point(rows, context)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            return [_failed(f"{type(error).__name__}: {error}")] * len(asked)
        if not isinstance(bodies, list) or len(bodies) != len(asked):
            found = f"{len(bodies)} answers" if isinstance(bodies, list) else type(bodies).__name__
            return [_failed(f"it returned {found} for {len(asked)} requests")] * len(asked)
        return [self._reply(index, body) for index, body in enumerate(bodies)]

    def _reply(self, index: int, body: Any) -> Reply:
        context = self._service.context
        headers = {k.lower(): v for k, v in context.get_response_headers(index).items()}
        # Those who set nothing answer with 200.
        status = context.get_response_status(index)[0] or 200
        return Reply(int(status), headers.get("content-type", ""), _encoded(body), headers)


def _metrics() -> Any:
    """Return TorchServe's own metrics, which some handlers take for granted."""
    import ts  # noqa: PLC0415
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl  # noqa: PLC0415

    cache = MetricsCacheYamlImpl(str(Path(ts.__file__).parent / "configs" / "metrics.yaml"))
    cache.initialize_cache()
    return cache


def _failed(why: str) -> Reply:
    said = {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}
    return Reply(503, "application/json", json.dumps(said).encode(), raised=why)


def _encoded(body: Any) -> bytes:
    """Return the bytes that TorchServe would send."""
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    return body.encode() if isinstance(body, str) else json.dumps(body, indent=2).encode()
