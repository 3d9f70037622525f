"""A worker without a server: an unpacked archive, loaded and asked as TorchServe does it.

For a process of its own, since the archive's modules are imported from the archive.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from marquee.archives import reader
from marquee.archives.worker_messages import Sent, Socket, read

Part = tuple[str, str, bytes]
DECODE = "TS_DECODE_INPUT_REQUEST"


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
        whole = {key.lower(): value for key, value in self.headers.items()}.get("content-type", "")
        return {
            "requestId": request_id.encode(),
            "parameters": [
                {
                    "name": name,
                    "contentType": kind.encode() or None,
                    "value": _decoded(kind or whole, value),
                }
                for name, kind, value in parts
            ],
            "headers": [
                {"name": name.encode(), "value": value.encode()}
                for name, value in self.headers.items()
            ],
        }


def _decoded(content_type: str, value: Any) -> Any:
    """Return a body as TorchServe hands it on: decoded, where the handler did not refuse that."""
    if os.environ.get(DECODE, "true") != "true" or not isinstance(value, bytes):
        return value
    try:
        if content_type == "application/json":
            return json.loads(value)
        return value.decode() if content_type.startswith("text") else value
    except (ValueError, RecursionError):
        return value


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        pieces: of the body, where the handler sent some before the rest.
        raised: what the handler did, if it is why TorchServe fails the whole batch.
    """

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    raised: str | None = None


class _Unfit(Exception):
    """A handler did not return what TorchServe can send."""


class Worker:
    """A loaded model.

    Args:
        folder: the unpacked archive; must come first on ``sys.path``.
        batch_size: of the batches it will be asked.
    """

    def __init__(self, folder: Path, batch_size: int = 1) -> None:
        from ts.model_loader import ModelLoaderFactory  # noqa: PLC0415 - torch takes seconds

        # As in a worker, the loop that handlers find when they load is that which awaits them.
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        manifest = reader.read(folder)
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

    @property
    def config(self) -> Mapping[str, Any]:
        """What the archive's model-config.yaml says."""
        found = self._service.context.model_yaml_config
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """Close the loop that awaits asynchronous handlers."""
        asyncio.set_event_loop(None)
        self._loop.close()

    def ask(self, *asked: Asked) -> list[Reply]:
        """Send requests as one batch; one reply for each."""
        from ts.protocol.otf_message_handler import create_predict_response  # noqa: PLC0415
        from ts.utils.util import PredictionException  # noqa: PLC0415

        batch = [one.row(f"request-{index}") for index, one in enumerate(asked)]
        headers, rows, ids = self._service.retrieve_data_for_inference(batch)
        context, socket = self._service.context, Socket()
        context.request_ids, context.request_processor = ids, headers
        context.metrics.request_ids = ids
        context.cl_socket = socket
        try:
            bodies = self._bodies(rows)
            sent = create_predict_response(bodies, ids, "Prediction success", 200, context)
        except PredictionException as error:
            return [_error(error.error_code, str(error.message))] * len(asked)
        except _Unfit as error:
            return [_failed(str(error))] * len(asked)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            return [_failed(f"the handler raised {type(error).__name__}: {error}")] * len(asked)
        message = read(sent)
        if message.code != 200:
            kinds = ", ".join(sorted({type(body).__name__ for body in bodies}))
            return [_failed(f"the handler returned {kinds}: {message.words}")] * len(asked)
        return [_reply(socket.pieces.get(one, []), message.sent[one]) for one in ids.values()]

    def _bodies(self, rows: list[Any]) -> list[Any]:
        """Return the handler's answers.

        Raises:
            _Unfit: they are not as many, or nothing that TorchServe takes for answers.
        """
        found = self._service._entry_point(rows, self._service.context)
        # TorchServe knows from the archive, not from what the handler returns.
        if self.config.get("asyncCommunication") is True:
            if not inspect.isawaitable(found):
                raise _Unfit(
                    f"the handler returned {_kind(found)}; with asyncCommunication: true in "
                    "model-config.yaml it must be 'async def handle'"
                )
            found = self._loop.run_until_complete(_awaited(found))
        elif inspect.iscoroutine(found):
            found.close()
            raise _Unfit(
                "the handler is 'async def', which TorchServe awaits only with "
                "asyncCommunication: true in model-config.yaml"
            )
        if not isinstance(found, list) or len(found) != len(rows):
            count = f"{len(rows)} answer{'s' if len(rows) > 1 else ''}"
            raise _Unfit(f"the handler returned {_kind(found)}, expected a list of {count}")
        return found


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


def _kind(found: Any) -> str:
    """Say what a handler returned in place of answers."""
    if isinstance(found, list):
        return f"a list of {len(found)}"
    return "None" if found is None else f"a value of type {type(found).__name__}"


def _reply(pieces: list[Sent], last: Sent) -> Reply:
    first, *_ = (*pieces, last)  # its status and headers have gone out when the rest comes
    parts = tuple(one.body for one in (*pieces, last)) if pieces else ()
    body = b"".join(parts) if pieces else last.body
    kind = first.headers.get("content-type", "")
    # Those who set no status answer with 200.
    return Reply(first.status or 200, kind, body, first.headers, parts)


def _metrics() -> Any:
    """Return TorchServe's own metrics, which some handlers take for granted."""
    import ts  # noqa: PLC0415
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl  # noqa: PLC0415

    cache = MetricsCacheYamlImpl(str(Path(ts.__file__).parent / "configs" / "metrics.yaml"))
    cache.initialize_cache()
    return cache


def _failed(why: str) -> Reply:
    return replace(_error(503, "Prediction failed"), raised=why)


def _error(status: int, message: str) -> Reply:
    said = {"code": status, "type": "InternalServerException", "message": message}
    return Reply(status, "application/json", json.dumps(said).encode())
