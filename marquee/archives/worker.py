"""A worker without a server: an unpacked archive, loaded and asked as TorchServe does it.

For a process of its own, since the archive's modules are imported from the archive. TorchServe's
own function writes the answers to a batch into one message, and a handler's pieces of answers, by
``send_intermediate_predict_response``, into further ones before it; they are read here.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import struct
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from marquee.archives import reader

Part = tuple[str, str, bytes]
DECODE = "TS_DECODE_INPUT_REQUEST"
_INT = struct.Struct("!i")
END = -1


@dataclass(frozen=True)
class WorkerRequest:
    """A request to a model.

    Attributes:
        headers: as a client sends them.
        body: of a request that is not multipart; a JSON value where a server has parsed it.
        parts: name, content type and contents of each part of a multipart request.
        id: by which the log knows it; no two of a batch may have the same.
    """

    headers: Mapping[str, str]
    body: Any = b""
    parts: tuple[Part, ...] = ()
    id: str = ""

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
class WorkerReply:
    """A model's answer to one request, or a piece of it.

    Attributes:
        headers: by their names in small letters.
        pieces: of the body, where the handler sent some before the rest.
        raised: what the handler did, if it is why TorchServe fails the whole batch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    pieces: tuple[bytes, ...] = ()
    raised: str | None = None

    @property
    def content_type(self) -> str:
        """Its media type, or nothing."""
        return self.headers.get("content-type", "")


class _Unfit(Exception):
    """A handler did not return what TorchServe can send."""


class OfflineWorker:
    """A loaded model.

    Args:
        folder: the unpacked archive; must come first on ``sys.path``.
        batch_size: of the batches it will be asked.
        gpu: number of the GPU that it is given; None for the CPU.
    """

    def __init__(self, folder: Path, batch_size: int = 1, gpu: int | None = None) -> None:
        from ts.model_loader import ModelLoaderFactory  # noqa: PLC0415 - torch takes seconds

        # As in a worker, the loop that handlers find when they load is that which awaits them.
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        manifest = reader.read(folder)
        self._service = ModelLoaderFactory.get_model_loader().load(
            manifest.name,
            str(folder),
            manifest.handler,
            gpu_id=gpu,
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
        config = self._service.context.model_yaml_config
        return config if isinstance(config, dict) else {}

    def close(self) -> None:
        """Close the loop that awaits asynchronous handlers."""
        asyncio.set_event_loop(None)
        self._loop.close()

    def ask(self, *requests: WorkerRequest) -> list[WorkerReply]:
        """Send requests as one batch; one reply for each."""
        from ts.protocol.otf_message_handler import create_predict_response  # noqa: PLC0415
        from ts.utils.util import PredictionException  # noqa: PLC0415

        batch = [one.row(one.id or f"request-{index}") for index, one in enumerate(requests)]
        headers, rows, ids = self._service.retrieve_data_for_inference(batch)
        context, socket = self._service.context, _Socket()
        context.request_ids, context.request_processor = ids, headers
        context.metrics.request_ids = ids
        context.cl_socket = socket
        try:
            bodies = self._bodies(rows)
            sent = create_predict_response(bodies, ids, "Prediction success", 200, context)
        except PredictionException as error:
            return [_error_reply(error.error_code, str(error.message))] * len(requests)
        except _Unfit as error:
            return [_failure(str(error))] * len(requests)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            return [_failure(f"the handler raised {type(error).__name__}: {error}")] * len(requests)
        code, words, replies = _read(sent)
        if code != 200:
            kinds = ", ".join(sorted({type(body).__name__ for body in bodies}))
            return [_failure(f"the handler returned {kinds}: {words}")] * len(requests)
        return [_joined([*socket.pieces.get(one, []), replies[one]]) for one in ids.values()]

    def _bodies(self, rows: list[Any]) -> list[Any]:
        """Return the handler's answers.

        Raises:
            _Unfit: they are not as many, or nothing that TorchServe takes for answers.
        """
        answers = self._service._entry_point(rows, self._service.context)
        # TorchServe knows from the archive, not from what the handler returns.
        if self.config.get("asyncCommunication") is True:
            if not inspect.isawaitable(answers):
                raise _Unfit(
                    f"the handler returned {_kind(answers)}; with asyncCommunication: true in "
                    "model-config.yaml it must be 'async def handle'"
                )
            answers = self._loop.run_until_complete(_awaited(answers))
        elif inspect.iscoroutine(answers):
            answers.close()
            raise _Unfit(
                "the handler is 'async def', which TorchServe awaits only with "
                "asyncCommunication: true in model-config.yaml"
            )
        if not isinstance(answers, list) or len(answers) != len(rows):
            count = f"{len(rows)} answer{'s' if len(rows) > 1 else ''}"
            raise _Unfit(f"the handler returned {_kind(answers)}, expected a list of {count}")
        return answers


async def _awaited(answers: Awaitable[Any]) -> Any:
    return await answers


def _kind(answers: Any) -> str:
    """Say what a handler returned in place of answers."""
    if isinstance(answers, list):
        return f"a list of {len(answers)}"
    return "None" if answers is None else f"a value of type {type(answers).__name__}"


def _metrics() -> Any:
    """Return TorchServe's own metrics, which some handlers take for granted."""
    import ts  # noqa: PLC0415
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl  # noqa: PLC0415

    cache = MetricsCacheYamlImpl(str(Path(ts.__file__).parent / "configs" / "metrics.yaml"))
    cache.initialize_cache()
    return cache


def _joined(sent: Sequence[WorkerReply]) -> WorkerReply:
    """Return the answer that a handler sent in pieces, or at once."""
    first, parts = sent[0], tuple(one.body for one in sent)
    # Status and headers have gone out when the rest comes; those who set no status answer with 200.
    whole = replace(first, status=first.status or 200, body=b"".join(parts))
    return replace(whole, pieces=parts) if len(parts) > 1 else whole


def _failure(raised: str) -> WorkerReply:
    """Return what each request of a batch gets that TorchServe fails."""
    return replace(_error_reply(503, "Prediction failed"), raised=raised)


def _error_reply(status: int, message: str) -> WorkerReply:
    """Return an error of TorchServe's own."""
    body = {"code": status, "type": "InternalServerException", "message": message}
    return WorkerReply(status, {"content-type": "application/json"}, json.dumps(body).encode())


@dataclass
class _Socket:
    """Stands where a handler's context has the connection to the frontend.

    Attributes:
        pieces: of the answers to the batch, by the ids of their requests.
    """

    pieces: dict[str, list[WorkerReply]] = field(default_factory=dict)

    def sendall(self, message: bytes) -> None:
        """Keep a message of pieces."""
        for request, piece in _read(message)[2].items():
            self.pieces.setdefault(request, []).append(piece)

    def send(self, message: bytes) -> int:
        """Keep a message of pieces, whole."""
        self.sendall(message)
        return len(message)


def _read(message: bytes) -> tuple[int, str, dict[str, WorkerReply]]:
    """Read a worker's message.

    Returns:
        200, or the code of an error which all requests of the batch get; that error's message;
        answers by the ids of their requests.
    """
    stream = _MessageReader(message)
    code, words, sent = stream.number(), stream.text(), {}
    while (length := stream.number()) != END:
        request = stream.read(length).decode()
        sent[request] = stream.sent()
    return code, words, sent


class _MessageReader(io.BytesIO):
    def sent(self) -> WorkerReply:
        content_type, status, _phrase = self.text(), self.number(), self.text()
        headers = {self.text().lower(): self.text() for _ in range(self.number())}
        if content_type:
            headers["content-type"] = content_type
        return WorkerReply(status, headers, self.read(self.number()))

    def number(self) -> int:
        (number,) = _INT.unpack(self.read(_INT.size))
        return int(number)

    def text(self) -> str:
        return self.read(self.number()).decode()
