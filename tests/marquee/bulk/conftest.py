"""A project whose model does what an input says, as no model should: made in a moment."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marquee.archives.manifest import MANIFEST
from marquee.project import Project

HANDLER = r"""
import json, os, signal, time

PNG = b"\x89PNG\r\n\x1a\n"


def handle(data, context):
    bodies = [row.get("body") or b"" for row in data or []]
    return [answer(body, i, len(bodies), context) for i, body in enumerate(bodies)]


def answer(body, i, count, context):
    if "ASKED" in os.environ:
        with open(os.environ["ASKED"], "ab") as asked:
            asked.write(body[:20] + b"\n")
    word = body.split()[0] if body.split() else b""
    kind = "application/json"
    headers = {name.lower(): value for name, value in context.get_all_request_header(i).items()}
    said = {"length": len(body), "count": count}
    said |= {"type": headers.get("content-type"), "k": headers.get("x-marquee-k")}
    if word == b"KILL":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == b"HANG":
        time.sleep(600)
    if word == b"RAISE":
        raise ValueError("no such thing")
    if word == b"WAIT":
        time.sleep(0.02)
    if word == b"BUSY" and count > 1:
        context.set_response_status(503, "Busy", i)
        said = {"code": 503, "type": "Busy", "message": "later"}
    if word == b"BAD":
        context.set_response_status(415, "Unsupported", i)
        said = {"code": 415, "type": "UnsupportedMediaType", "message": "it is bad"}
    if word == b"LONG":
        said = "x" * 70_000
    context.set_response_header(i, "server-timing", "decode;dur=1.50, model;dur=20.00")
    context.set_response_content_type(i, "image/png" if word == b"PIC" else kind)
    return PNG + body if word == b"PIC" else json.dumps(said).encode()
"""
CONFIG = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 4\nresponseTimeout: 1\n"
LIMIT = 100_000
Write = Callable[..., Path]


def make(folder: Path, config: str = CONFIG, handler: str = HANDLER) -> Project:
    """Make a project with the archive of one model, ``net`` 1.0."""
    for name in ("handlers", "model_store"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "config.properties").write_text(
        f"model_store=model_store\nmax_request_size={LIMIT}\n"
    )
    model = {"modelName": "net", "modelVersion": "1.0", "handler": "handler.py"}
    manifest: dict[str, Any] = {"model": model | {"configFile": "model-config.yaml"}}
    with zipfile.ZipFile(folder / "model_store" / "net-1.0.mar", "w") as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        archive.writestr("handler.py", handler)
        archive.writestr("model-config.yaml", config)
    return Project(folder)


def rows_of(output: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by their inputs, of which each has one."""
    listed = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    rows = {row["input"]: row for row in listed}
    assert len(rows) == len(listed)
    return rows


@pytest.fixture
def net(tmp_path: Path) -> Project:
    """The project."""
    return make(tmp_path / "project")
