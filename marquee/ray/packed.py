"""A model archive as an application of Ray Serve, where neither marquee nor TorchServe is there.

``marquee ray pack`` copies this file beside an unpacked archive. It imports Ray, what Ray brings
along, and the archive's handler, and so nothing of marquee. The archive is loaded and asked as a
worker of TorchServe does it: the same context, the same batches, the same bytes in the answers.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import ray
import yaml
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).with_name("archive")
PARSER = BytesHeaderParser()
DECODE = "TS_DECODE_INPUT_REQUEST"
Part = tuple[str, str, bytes]


@dataclass
class Asked:
    """A request of a batch, and what its handler says of the answer.

    Attributes:
        data: the body's parts by name; ``body`` where it is one.
        headers: as the handler sees them, each part's content type among them.
        id: by which Ray's log knows the request.
    """

    data: dict[str, Any]
    headers: dict[str, Any]
    id: str
    status: int = 200
    answer_headers: dict[str, str] = field(default_factory=dict)

    def response(self, body: Any) -> Response:
        """Return the handler's answer.

        Raises:
            TypeError: the body is nothing that TorchServe can send.
        """
        return Response(_bytes(body), self.status or 200, self.answer_headers)


class Context:
    """What a handler is given beside a batch, as TorchServe's ``ts.context.Context``."""

    metrics = None  # Ray counts requests and their seconds by itself

    def __init__(self, folder: Path, manifest: Mapping[str, Any], gpu: int | None) -> None:
        model = manifest["model"]
        self.model_name = model["modelName"]
        self.manifest = manifest
        self.model_yaml_config = _config(folder, model)
        self.system_properties = {
            "model_dir": str(folder),
            "gpu_id": gpu,
            "batch_size": int(self.model_yaml_config.get("batchSize") or 1),
            "server_name": "MMS",
            "server_version": "ray " + ray.__version__,
            "limit_max_image_pixels": True,
        }
        self.asked: Sequence[Asked] = ()

    def get_request_id(self, idx: int = 0) -> str | None:
        """Return what this request is called in logs."""
        return self.asked[idx].id if self.asked else None

    def get_request_header(self, idx: int, key: str) -> Any:
        """Return a header by its name as it was sent, or None."""
        return self.asked[idx].headers.get(key)

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        """Return all headers."""
        return self.asked[idx].headers

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set one answer's status; Ray says HTTP's own phrase."""
        self.asked[idx].status = code

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Set the status of all answers of the batch."""
        for idx, _ in enumerate(self.asked):
            self.set_response_status(code, phrase, idx)

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a header of one answer."""
        self.asked[idx].answer_headers[key] = value

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the media type of one answer."""
        self.set_response_header(idx, "content-type", value)


def _config(folder: Path, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the archive's model-config.yaml says; nothing where it has none."""
    name = model.get("configFile")
    config = yaml.safe_load((folder / name).read_text()) if name else None
    return config if isinstance(config, dict) else {}


class Worker:
    """A loaded model: imported, initialized and asked in one thread."""

    def __init__(self, folder: Path = FOLDER, gpu: int | None = None) -> None:
        sys.path.insert(0, str(folder))  # before the other packages, as TorchServe has it
        os.chdir(folder)
        manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text())
        self.context = Context(folder, manifest, gpu)
        self._handle, initialize = entry_points(manifest["model"]["handler"])
        initialize(self.context)

    def answer(self, asked: Sequence[Asked]) -> list[Response]:
        """Answer a batch: one response for each, whatever the handler does."""
        self.context.asked = asked
        try:
            bodies = self._handle([one.data for one in asked], self.context)
        except Exception as error:
            logger.exception("the handler failed on a batch of %d", len(asked))
            if isinstance(error, MemoryError) or "CUDA" in str(error):
                return [failure(507, "Out of resources") for _ in asked]
            return [failure(503, "Prediction failed") for _ in asked]
        if not isinstance(bodies, list):
            return [failure(503, "Invalid model predict output") for _ in asked]
        if len(bodies) != len(asked):
            return [failure(503, "number of batch response mismatched") for _ in asked]
        try:
            return [one.response(bodies[at]) for at, one in enumerate(asked)]
        except TypeError:
            return [failure(503, "Unsupported model output data type.") for _ in asked]


def entry_points(handler: str) -> tuple[Callable[..., Any], Callable[[Context], Any]]:
    """Import a handler as TorchServe does; return what answers a batch, and what loads the model.

    Args:
        handler: as in a manifest: ``handler.py`` with one class, or with a function ``handle``,
            or ``handler.py:function``.

    Raises:
        ValueError: the module has no such function, and not exactly one class.
    """
    file, _, function = handler.partition(":")
    module = importlib.import_module(Path(file).name.removesuffix(".py"))
    entry = getattr(module, function or "handle", None)
    if entry is not None:
        return entry, lambda context: entry(None, context)
    classes = [one for one in vars(module).values() if inspect.isclass(one)]
    own: list[Any] = [one for one in classes if one.__module__ == module.__name__]
    if len(own) != 1:
        raise ValueError(f"{handler} has {len(own)} classes and no function, expected one class")
    model = own[0]()
    return model.handle, model.initialize


def failure(status: int, message: str, kind: str = "InternalServerException") -> Response:
    """Return an error in TorchServe's shape."""
    body = {"code": status, "type": kind, "message": message}
    return Response(json.dumps(body, indent=2) + "\n", status, media_type="application/json")


def _bytes(body: Any) -> bytes:
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    if isinstance(body, str):
        return body.encode()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(body, torch.Tensor):
        file = io.BytesIO()
        torch.save(body, file)
        return file.getvalue()
    return json.dumps(body, indent=2).encode()


def read(headers: Mapping[str, str], body: bytes) -> Asked:
    """Return a request as TorchServe's frontend hands it to a worker."""
    sent = headers.get("content-type", "")
    media = sent.partition(";")[0].strip()
    parts: Iterable[Part] = [("body", media, body)]
    if media == "multipart/form-data":
        parts = form_parts(sent, body)
    elif media == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        parts = [(name, "", value.encode()) for name, value in pairs]
    data: dict[str, Any] = {}
    types: dict[str, Any] = {}
    for name, kind, value in parts:
        data[name] = decoded(kind, value)
        types[name] = {"content-type": kind or None}
    return Asked(data, types | dict(headers), headers.get("x-request-id", ""))


def decoded(kind: str, value: bytes) -> Any:
    """Return a body as TorchServe hands it on: decoded, where the handler did not refuse that."""
    if os.environ.get(DECODE, "true") == "true":
        # What is no JSON, or no text, is handed on as it was sent.
        with suppress(ValueError, RecursionError):
            if kind == "application/json":
                return json.loads(value)
            if kind.startswith("text"):
                return value.decode()
    return bytearray(value)


def form_parts(content_type: str, body: bytes) -> Iterator[Part]:
    """Yield name, content type and contents of each part of a form (RFC 7578)."""
    form = PARSER.parsebytes(f"Content-Type: {content_type}".encode())
    boundary = form.get_boundary()
    pieces = (b"\r\n" + body).split(f"\r\n--{boundary}".encode()) if boundary else []
    for piece in pieces[1:-1]:  # before the first boundary and after the last there is nothing
        head, _, value = piece.partition(b"\r\n\r\n")
        part = PARSER.parsebytes(head.lstrip())
        name = part.get_param("name", header="content-disposition")
        yield str(name), part.get_content_type() if "content-type" in part else "", value


@serve.deployment(name="Model")
class Model:
    """A replica: one worker, and the batches that are made for it."""

    def __init__(self) -> None:
        # PyTorch keeps the number of its threads for each thread that asks it for something.
        self._thread = ThreadPoolExecutor(1)
        gpu = 0 if ray.get_gpu_ids() else None  # the others are hidden from it
        self._worker: Worker = self._thread.submit(Worker, FOLDER, gpu).result()
        self._model = self._worker.context.model_name
        self._timeout = math.inf  # until it is configured
        self._began: float | None = None

    def reconfigure(self, settings: Mapping[str, float]) -> None:
        """Take the deployment's ``user_config``, in TorchServe's words: ms, and seconds."""
        batches: Any = self._answer
        batches.set_max_batch_size(int(settings["batchSize"]))
        batches.set_batch_wait_timeout_s(settings["maxBatchDelay"] / 1000)
        self._timeout = float(settings["responseTimeout"])

    def check_health(self) -> None:
        """Have this replica replaced where a batch takes longer than ``responseTimeout``.

        Raises:
            RuntimeError: it does.
        """
        if self._began is not None and time.monotonic() - self._began > self._timeout:
            raise RuntimeError(f"a batch has taken more than {self._timeout:g} s (responseTimeout)")

    async def __call__(self, request: Request) -> Response:
        """Answer a request to ``/``, or to an address of TorchServe."""
        place = [part for part in request.url.path.split("/") if part]
        if place in ([], ["invocations"]) or self._is_mine(place):
            asked = read(dict(request.headers), await request.body())
            if place[:1] == ["explanations"]:
                asked.headers["explain"] = "True"
            response: Response = await self._answer(asked)
            return response
        if place == ["ping"]:
            return Response('{"status": "Healthy"}\n', media_type="application/json")
        said = f"there is {self._model} at /, /invocations, /predictions/{self._model} only"
        return failure(404, said, "ModelNotFoundException")

    def _is_mine(self, place: Sequence[str]) -> bool:
        """Tell whether a path names this model, in any version: it is the only one."""
        return place[0] in ("predictions", "explanations") and place[1:2] == [self._model]

    @serve.batch
    async def _answer(self, asked: list[Asked]) -> list[Response]:
        self._began = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._worker.answer, asked)
        finally:
            self._began = None


_deployment: Any = Model  # which the decorator makes of it
application = _deployment.bind()
