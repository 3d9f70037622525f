"""marquee-client: what it sends, what it makes of answers, and when it asks again."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import marquee.client
from marquee_client import AsyncClient, Client, Refused, TimedOut, Unreachable, _call
from tests.support import ROOT

Answering = Callable[[httpx.Request], httpx.Response]
BUSY = {"code": 503, "type": "ServiceUnavailableException", "message": "the queue is full"}


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_call, "FIRST_PAUSE", 0.0)


def asking(answering: Answering, **options: Any) -> Client:
    return Client("http://server", transport=httpx.MockTransport(answering), **options)


def echo(request: httpx.Request) -> httpx.Response:
    said = {"path": request.url.path, "body": request.content.decode("latin-1")}
    return httpx.Response(200, json=said | {"headers": dict(request.headers)})


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(stream, "PNG")
    return stream.getvalue()


def test_a_question_has_key_type_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "ship.png").write_bytes(b"bytes")
    with asking(echo, key="secret") as client:
        said = client.predict(
            "cifar", tmp_path / "ship.png", version="2.0", accept="npy", top_k=3, flag=True
        )
    headers = said["headers"]
    assert (said["path"], said["body"]) == ("/predictions/cifar/2.0", "bytes")
    assert headers["authorization"] == "Bearer secret"
    assert (headers["content-type"], headers["content-length"]) == ("image/png", "5")
    assert (headers["accept"], headers["x-marquee-top-k"]) == ("application/x-npy", "3")
    assert headers["x-marquee-flag"] == "true"
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        (b"abc", "application/octet-stream", b"abc"),
        (io.BytesIO(b"abc"), "application/octet-stream", b"abc"),
        (np.zeros(2), "application/x-npy", npy(np.zeros(2))),
        (Image.open(io.BytesIO(png())), "image/png", png()),
        ({"image": "aGk="}, "application/json", b'{"image": "aGk="}'),
    ],
)
def test_an_input_may_be_of_many_kinds(value: Any, kind: str, body: bytes) -> None:
    with asking(echo) as client:
        said = client.predict("m", value)
    assert said["headers"]["content-type"] == kind
    assert said["body"].encode("latin-1") == body


@pytest.mark.parametrize(
    ("value", "parameters", "error"),
    [
        (7, {}, TypeError),
        (b"", {"accept": "pgn"}, ValueError),
        (b"", {"word": "ä"}, ValueError),
        ("nowhere.png", {}, FileNotFoundError),
    ],
)
def test_what_cannot_be_sent_is_told(
    value: Any, parameters: dict[str, Any], error: type[Exception]
) -> None:
    with asking(echo) as client, pytest.raises(error):
        client.predict("m", value, **parameters)


def answered(kind: str, body: bytes) -> Any:
    with asking(lambda _: httpx.Response(200, content=body, headers={"content-type": kind})) as one:
        return one.explain("m", b"")


def test_a_value_is_what_its_type_says() -> None:
    assert answered("application/json; charset=utf-8", b'{"a": 1}') == {"a": 1}
    assert answered("image/png", png()).size == (3, 2)
    assert answered("application/x-npy", npy(np.ones(2))).tolist() == [1, 1]
    assert answered("text/plain", b"cat") == "cat"
    assert answered("application/pdf", b"%PDF") == b"%PDF"


def test_an_answer_says_who_gave_it() -> None:
    headers = {
        "x-marquee-version": "cifar/2.0",
        "x-request-id": "7",
        "server-timing": "model;dur=5",
    }
    with asking(lambda _: httpx.Response(200, json={}, headers=headers)) as client:
        answer = client.ask("cifar", b"")
    assert (answer.version, answer.request_id) == ("cifar/2.0", "7")
    assert answer.milliseconds == {"model": 5.0}


def test_a_refusal_has_code_type_message_and_request() -> None:
    said = {"code": 500, "type": "InternalServerException", "message": "it broke"}
    refusing = httpx.Response(500, json=said, headers={"x-request-id": "7"})
    with asking(lambda _: refusing) as client, pytest.raises(Refused) as caught:
        client.predict("m", b"")
    error = caught.value
    assert (error.code, error.type) == (500, "InternalServerException")
    assert (error.message, error.request_id) == ("it broke", "7")
    assert str(error) == "500 InternalServerException: it broke (request 7)"


class Sequence:
    """Answers one after the other; an exception is raised."""

    def __init__(self, *outcomes: httpx.Response | Exception) -> None:
        self.outcomes = list(outcomes)
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def awaited(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self(request)


def busy() -> httpx.Response:
    return httpx.Response(503, json=BUSY, headers={"retry-after": "0"})


def good() -> httpx.Response:
    return httpx.Response(200, json=1)


def test_a_busy_or_absent_server_is_asked_again_with_the_whole_body() -> None:
    sequence = Sequence(httpx.ConnectError("refused"), busy(), good())
    with asking(sequence) as client:
        assert client.predict("m", b"body") == 1
    assert sequence.bodies == [b"body"] * 3


def test_patience_ends() -> None:
    with asking(Sequence(busy(), busy()), retries=1) as client, pytest.raises(Refused) as caught:
        client.predict("m", b"")
    assert caught.value.busy
    absent = asking(Sequence(httpx.ConnectError("no")), retries=0)
    with absent, pytest.raises(Unreachable, match="no answer from /predictions/m: no"):
        absent.predict("m", b"")


def test_what_timed_out_is_asked_again_only_if_told() -> None:
    late = httpx.ReadTimeout("late")
    with asking(Sequence(late)) as client, pytest.raises(TimedOut, match="within 300 s"):
        client.predict("m", b"")
    with asking(Sequence(late, good()), resend_timed_out=True) as client:
        assert client.predict("m", b"") == 1


def test_a_handler_that_failed_is_not_asked_again() -> None:
    failed = httpx.Response(503, json=BUSY | {"type": "InternalServerException"})
    with asking(Sequence(failed)) as client, pytest.raises(Refused):
        client.predict("m", b"")


def test_the_server_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("marquee_client._client.time.sleep", waited.append)
    later = httpx.Response(503, json=BUSY, headers={"retry-after": "3"})
    with asking(Sequence(later, good())) as client:
        client.predict("m", b"")
    assert waited == [3.0]


def test_asynchronous_code_has_the_same(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"body")
    sequence = Sequence(busy(), good())

    async def ask() -> Any:
        transport = httpx.MockTransport(sequence.awaited)
        async with AsyncClient("http://server", transport=transport) as client:
            return await client.predict("m", tmp_path / "body")

    assert asyncio.run(ask()) == 1
    assert sequence.bodies == [b"body"] * 2


def test_a_front_door_tells_its_models_also_when_it_is_not_well() -> None:
    models = {"cifar": {"version": "2.0", "ready": False, "why": "its worker is gone"}}
    said = {"status": "Unhealthy", "models": models}
    with asking(lambda _: httpx.Response(503, json=said)) as client:
        status = client.models()["cifar"]
    assert (status.version, status.ready, status.why) == ("2.0", False, "its worker is gone")
    refusing = asking(lambda _: httpx.Response(400, json={"type": "t", "message": "no key"}))
    with refusing, pytest.raises(Refused, match="no key"):
        refusing.models()


def test_versions_are_those_of_the_document() -> None:
    given = {"name": "version", "schema": {"enum": ["1.0", "2.0"]}}
    paths = {
        "/predictions/m/{version}": {"post": {"parameters": [given]}},
        "/predictions/m/3.0": {"post": {}},
    }
    with asking(lambda _: httpx.Response(200, json={"paths": paths})) as client:
        assert client.versions("m") == ["1.0", "2.0", "3.0"]
        with pytest.raises(Refused, match="no model 'n'"):
            client.versions("n")


def test_it_is_marquees_client_too() -> None:
    assert marquee.client.Client is Client


def test_the_package_is_built_alone(tmp_path: Path) -> None:
    code = "import sys; from setuptools import build_meta as b; print(b.build_wheel(sys.argv[1]))"
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "clients/python"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        target = source / Path(name).relative_to("clients/python")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    wheel = tmp_path / done.stdout.splitlines()[-1]
    own = "import marquee_client, sys; print(sorted({'torch', 'marquee'} & {*sys.modules}))"
    alone = subprocess.run(
        [sys.executable, "-c", own],
        cwd=tmp_path,
        env={"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert alone.stdout.strip() == "[]"
    with zipfile.ZipFile(wheel) as packed:
        assert "marquee_client/py.typed" in packed.namelist()


def test_its_version_is_marquees() -> None:
    def version(path: Path) -> str:
        lines = path.read_text().splitlines()
        return next(line for line in lines if line.startswith("version = "))

    assert version(ROOT / "clients/python/pyproject.toml") == version(ROOT / "pyproject.toml")


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "clients/python/README.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=json.loads("{}"))

    def client(url: str, key: str) -> Client:
        return Client(url, key, transport=httpx.MockTransport(answer))

    for name in ("ship.png", "photo.jpg"):
        (tmp_path / name).write_bytes(png())
    monkeypatch.chdir(tmp_path)
    lines = [line for line in code.splitlines() if not line.startswith("from ")]
    exec("\n".join(lines), {"Client": client, "array": np.zeros(1)})  # noqa: S102
    models = ["predictions/cifar", "predictions/inkwash", "predictions/cifar", "explanations/cifar"]
    assert asked == [f"/{one}" for one in models]
