"""Run one model folder through AWS's toolkit and through ours, and bring the answers home."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sagemaker_inference import decoder

from handlers.script.handler import ScriptHandler
from handlers.script.output import release_output

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
NPZ = "application/x-npz"


@dataclass(frozen=True)
class Call:
    """A request to send."""

    body: Any
    content_type: str | None = None
    accept: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return {"body": bytearray(body) if isinstance(body, bytes) else body}

    def processor(self) -> Any:
        named = {"Content-Type": self.content_type, "Accept": self.accept, **self.headers}
        headers = {key: value for key, value in named.items() if value is not None}
        return _torchserve().RequestProcessor(headers)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    content_type: str | None
    body: bytes
    phrase: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def essence(self) -> tuple[int, str | None, bytes]:
        return self.status, self.content_type, self.body


def make_folder(folder: Path, script: str | None = None, **files: bytes) -> Path:
    """Write a model folder: the script as code/inference.py, and files beside code/."""
    (folder / "code").mkdir(parents=True)
    if script is not None:
        (folder / "code" / "inference.py").write_text(script)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


@contextmanager
def own_process() -> Iterator[None]:
    """Undo what a worker does to its process: path, modules, folder, decoders and the like."""
    decoders = dict(decoder._decoder_map)
    path, modules = [*sys.path], {*sys.modules}
    folder, environment = Path.cwd(), dict(os.environ)
    try:
        yield
    finally:
        release_output()
        sys.path[:] = path
        decoder._decoder_map.update(decoders)
        for name in {*sys.modules} - modules:
            where = getattr(sys.modules[name], "__file__", None) or ""
            if where.endswith("inference.py") or "/code/" in where:
                del sys.modules[name]
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)


def _context(model_dir: Path, config: Mapping[str, Any] | None = None) -> Any:
    return _torchserve().Context(
        "script", str(model_dir), {}, 8, None, "0.12.0", model_yaml_config=config
    )


@cache
def _torchserve() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # ts leaves its version.txt open
        return importlib.import_module("ts.context")


@contextmanager
def loaded(folder: Path, **options: Any) -> Iterator[ScriptHandler]:
    """Yield our handler with the folder loaded, as in an archive of it."""
    archive = folder.with_name(folder.name + "-archive")
    if not archive.exists():
        archive.mkdir()
        shutil.copytree(folder, archive / "sagemaker")
    with own_process():
        handler = ScriptHandler()
        handler.initialize(_context(archive, {"marquee": {"options": options}}))
        yield handler


def send(handler: ScriptHandler, calls: Sequence[Call]) -> list[Reply]:
    """Send calls as one batch."""
    context = _context(Path())
    context.request_processor = [call.processor() for call in calls]
    context.request_ids = {i: f"id-{i}" for i in range(len(calls))}
    bodies = handler.handle([call.row for call in calls], context)
    return [_reply(body, context, i) for i, body in enumerate(bodies)]


def ours(folder: Path, calls: Sequence[Call], **options: Any) -> list[Reply]:
    """Return our answers to a batch."""
    with loaded(folder, **options) as handler:
        return send(handler, calls)


def theirs(folder: Path, calls: Sequence[Call]) -> list[Reply]:
    """Return the toolkit's answers, one call at a time, which is all it can do."""
    with warnings.catch_warnings():
        # torch.jit's, numpy's and six's: the toolkit is older than they are.
        warnings.simplefilter("ignore")
        from sagemaker_pytorch_serving_container import handler_service  # noqa: PLC0415

        with own_process():
            sys.path.insert(0, str(folder / "code"))
            os.chdir(folder)
            service = handler_service.HandlerService()
            service.initialize(context := _context(folder))
            return [_ask(service, context, call) for call in calls]


def _ask(service: Any, context: Any, call: Call) -> Reply:
    context.request_processor = [call.processor()]
    context.request_ids = {0: "id-0"}
    [body] = service.handle([call.row], context)
    return _reply(body, context, 0)


def _reply(body: Any, context: Any, index: int) -> Reply:
    status, phrase = context.get_response_status(index)
    raw = body.encode() if isinstance(body, str) else bytes(body)
    headers = context.get_response_headers(index)
    return Reply(status, headers.get("content-type"), raw, phrase, headers)
