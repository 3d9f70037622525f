"""Archives that marquee did not make, on the server that serves ours."""

import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import Running, marquee

# Tells what it gets, logs an exception that it caught, and reports a time as TorchServe's do.
HANDLER = """
import logging
try:
    import a_module_that_is_missing
except ImportError:
    logging.exception("optional is missing")
class Tells:
    def initialize(self, context):
        pass
    def handle(self, rows, context):
        context.metrics.add_time("HandlerTime", 1.5, None, "ms")
        return [{"body": type(row["body"]).__name__} for row in rows]
"""
FAILS = HANDLER.replace("        pass\n", "        raise ValueError('the real one')\n")
# The log's marker of cifar 2.0 is a part of its.
NAME = "my_cifar"


def archive(path: Path, code: str, version: str = "2.0") -> Path:
    model = {"modelName": NAME, "modelVersion": version, "handler": "handler.py"}
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("handler.py", code)
        made.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
    return path


@pytest.fixture(scope="module")
def foreign(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a foreign model on the server."""
    path = archive(tmp_path_factory.mktemp("foreign") / "theirs.mar", HANDLER)
    said = marquee(server.project, "register", str(path), **server.environment)
    assert said.returncode == 0, said.stderr
    yield NAME
    with server.management() as client:
        client.delete(f"/models/{NAME}/2.0").raise_for_status()
    (server.project.model_store / f"{NAME}-2.0.mar").unlink()


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        ({"Content-Type": "application/json"}, b"[[1, 2]]", "list"),
        ({"Content-Type": "text/plain"}, b"words", "str"),
        ({"Content-Type": "image/png"}, b"bytes", "bytearray"),
    ],
)
def test_others_get_what_torchserve_gives_by_default(
    foreign: str, client: httpx.Client, headers: dict[str, str], body: bytes, kind: str
) -> None:
    answer = client.post(f"/predictions/{foreign}", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"body": kind})


def test_ours_get_the_bytes_beside_them(foreign: str, client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/predictions/cifar", content=b'{"instances": [}', headers=headers)
    assert answer.status_code == 400
    # Where the text is wrong is known only from the text.
    assert "column" in answer.json()["message"] or "char" in answer.json()["message"]


def test_the_time_of_their_handler_is_published(
    foreign: str, client: httpx.Client, server: Running
) -> None:
    assert client.post(f"/predictions/{foreign}", content=b"x").status_code == 200
    deadline = time.monotonic() + 30  # the log line that carries it is read in its own time
    while f'HandlerTime{{ModelName="{foreign}"' not in server.metrics():
        assert time.monotonic() < deadline, server.metrics()
        time.sleep(0.2)


def test_the_states_of_workers_are_logged_and_no_line_for_each_request(
    foreign: str, client: httpx.Client, server: Running
) -> None:
    assert client.post(f"/predictions/{foreign}", content=b"x").status_code == 200
    log = (server.project.logs / "ts_log.log").read_text()
    assert f"-{foreign}_2.0 State change WORKER_STARTED -> WORKER_MODEL_LOADED" in log
    assert "Flushing" not in log
    assert "Backend response" not in log


def test_the_traceback_that_ended_the_worker_is_shown(server: Running, tmp_path: Path) -> None:
    path = archive(tmp_path / "fails.mar", FAILS, "3.0")
    said = marquee(server.project, "register", str(path), **server.environment)
    assert said.returncode == 1
    assert f"{NAME} 3.0 does not load: ValueError: the real one" in said.stderr
    assert "a_module_that_is_missing" not in said.stderr
