"""The adapter where it goes beyond the toolkit: batches, errors and logs."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.runtime import worker
from handlers.script import handler as handler_module
from handlers.script.defaults import find_model
from tests.handlers.script import scripts
from tests.handlers.script.harness import (
    CSV,
    JSON,
    NPY,
    NPZ,
    Call,
    Reply,
    loaded,
    make_folder,
    ours,
    send,
)
from tests.handlers.script.test_codec import lying

OCTETS = "application/octet-stream"

COUNTS = """
import torch

SIZES = []

class Doubles(torch.nn.Module):
    def forward(self, x):
        SIZES.append(len(x))
        return x * 2

def model_fn(model_dir):
    return Doubles()
"""


def message_of(reply: Reply) -> dict[str, Any]:
    assert reply.content_type == JSON
    assert b"Traceback" not in reply.body
    error: dict[str, Any] = json.loads(reply.body)
    assert error["code"] == reply.status
    return error


def npy(*shape: int, value: float = 1) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.full(shape, value, np.float32))
    return stream.getvalue()


def test_twins_that_a_mac_left_are_no_models(tmp_path: Path) -> None:
    for name in ("._net.pth", ".hidden.pt", "net.pth"):
        (tmp_path / name).write_bytes(b"x")
    assert find_model(tmp_path) == tmp_path / "net.pth"


def test_torchserve_finds_exactly_one_class() -> None:
    classes = [
        value
        for value in vars(handler_module).values()
        if isinstance(value, type) and value.__module__ == handler_module.__name__
    ]
    assert [one.__name__ for one in classes] == ["ScriptHandler"]


def test_each_of_a_batch_has_its_own_types_and_fate(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.MODEL_ONLY)
    replies = ours(
        folder,
        [
            Call("[[2, 4]]", JSON, NPY),
            Call("6,8", CSV),
            Call("[1,", JSON),
            Call(npy(1, 2), NPY, CSV),
            Call("x", "text/html"),
            Call("[[2, 4]]", JSON, "image/png"),
            Call("[[2, 4]]", JSON, "image/png, text/csv;q=0.5"),
        ],
    )
    assert [reply.status for reply in replies] == [200, 200, 400, 200, 415, 406, 200]
    assert [replies[i].content_type for i in (0, 1, 3, 6)] == [NPY, JSON, CSV, CSV]
    assert np.load(io.BytesIO(replies[0].body)).tolist() == [[1, 2]]
    assert replies[1].body == b"[3.0, 4.0]"
    assert replies[3].body == b"0.5,0.5\n"
    assert "text/html" in message_of(replies[4])["message"]


@pytest.mark.parametrize(
    ("script", "stack", "expected"),
    [
        (COUNTS, "auto", [1, 4]),
        (COUNTS, "never", [1, 1, 1, 1]),
        (COUNTS + "def predict_fn(d, m): return m(d)\n", "auto", [1, 1, 1, 1]),
        (COUNTS + "def predict_fn(d, m): return m(d)\n", "always", [1, 4]),
        (COUNTS + "def predict_fn(d, m, c): return m(d)\n", "always", [1, 1, 1, 1]),
        (COUNTS + "def output_fn(p, a): return str(p.tolist())\n", "auto", [1, 4]),
    ],
)
def test_only_what_may_go_together_does(
    tmp_path: Path, script: str, stack: str, expected: list[int]
) -> None:
    folder = make_folder(tmp_path / "m", script)
    calls = [Call(f"[[{n}, 0]]", JSON) for n in range(4)]
    with loaded(folder, stack=stack) as worker:
        replies = send(worker, calls)
        import inference  # noqa: PLC0415

        assert sorted(inference.SIZES) == expected
    assert [json.loads(r.body) for r in replies] == [[[2 * n, 0]] for n in range(4)]


def test_failures_are_500_without_a_traceback_and_logged_in_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_folder(tmp_path / "m", scripts.CRASHER)
    words = ["fine", "raise", "exit", "object", "memory", "fine"]
    replies = ours(folder, [Call(word) for word in words])
    assert [reply.status for reply in replies] == [200, 500, 500, 500, 507, 200]
    for reply in replies[1:5]:
        assert "secret" not in message_of(reply)["message"]
    assert "id-1" in message_of(replies[1])["message"]
    assert "secret: /srv/keys" in caplog.text
    assert 'inference.py", line' in caplog.text
    assert "request id-1 failed" in caplog.text


@pytest.mark.parametrize(
    ("script", "accept", "status"),
    [
        ("def input_fn(d, c): raise errors.UnsupportedFormatError(c)", JSON, 415),
        ("def output_fn(p, a): raise errors.UnsupportedFormatError(a)", JSON, 406),
        ("def input_fn(d, c): return decoder.decode(d, c)", JSON, 415),
        ("def input_fn(d, c): raise errors.GenericInferenceToolkitError(404, 'a')", JSON, 404),
        ("def input_fn(d, c): raise errors.GenericInferenceToolkitError(503, 'a')", JSON, 500),
        ("def input_fn(d, c): raise errors.GenericInferenceToolkitError(200, 'a')", JSON, 500),
        ("def input_fn(d, c): raise errors.GenericInferenceToolkitError('x', 'a')", JSON, 500),
        ("def output_fn(p, a): return float('nan')", JSON, 500),
        ("def output_fn(p, a): return ()", JSON, 500),
        ("def output_fn(p, a, c): c.set_response_status(42); return ''", JSON, 500),
        ("def output_fn(p, a, c): c.set_response_header(0, 'a b', 'x')", JSON, 500),
        ("def output_fn(p, a, c): c.set_response_status(418, 'Teapot'); return 'x'", JSON, 418),
    ],
)
def test_what_a_script_says_of_a_request(
    tmp_path: Path, script: str, accept: str, status: int
) -> None:
    head = "from sagemaker_inference import decoder, errors\ndef model_fn(d): return None\n"
    rest = "\ndef predict_fn(d, m): return d\n"
    if "input_fn" not in script:
        rest += "def input_fn(d, c): return d\n"
    folder = make_folder(tmp_path / "m", head + script + rest)
    [reply] = ours(folder, [Call("x", "text/plain", accept)])
    assert reply.status == status


def test_header_values_are_one_line_of_ascii(tmp_path: Path) -> None:
    script = (
        "def model_fn(d): return None\n"
        "def transform_fn(m, d, c, a, context):\n"
        "    context.set_response_header(0, 'X-Name', 'caf\\u00e9\\r\\nX-Evil: 1')\n"
        "    context.set_response_status(200, 'Tr\\u00e8s bien')\n"
        "    return 'x', 'text/plain; name=\\u00e9'\n"
    )
    [reply] = ours(make_folder(tmp_path / "m", script), [Call("x")])
    assert reply.headers["x-name"] == "caf? X-Evil: 1"
    assert reply.phrase == "Tr?s bien"
    assert reply.content_type == "text/plain; name=?"


@pytest.mark.parametrize(
    ("returned", "body"),
    [
        ("{'a': [1]}", b'{"a": [1]}'),
        ("None", b"null"),
        ("bytearray(b'x')", b"x"),
        ("__import__('numpy').arange(2)", b"[0, 1]"),
        ("__import__('io').BytesIO(b'x')", b"x"),
    ],
)
def test_whatever_a_script_returns_is_sent(tmp_path: Path, returned: str, body: bytes) -> None:
    script = f"def model_fn(d): pass\ndef transform_fn(m, d, c, a): return {returned}\n"
    [reply] = ours(make_folder(tmp_path / "m", script), [Call("x")])
    assert reply.essence == (200, JSON, body)


@pytest.mark.parametrize(
    ("accept", "label"),
    [
        ("text/html, */*", "text/html"),
        ("image/*, text/plain;q=0.5", "text/plain"),
        ("image/*", JSON),
        ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
    ],
)
def test_the_label_of_an_answer_is_never_a_pattern(tmp_path: Path, accept: str, label: str) -> None:
    folder = make_folder(tmp_path / "m", scripts.CRASHER)
    [reply] = ours(folder, [Call("x", None, accept)])
    assert reply.content_type == label


def test_bodies_as_a_stock_torchserve_passes_them(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.TRANSFORM)
    calls = [Call([1, 2], JSON), Call("\x01", OCTETS), Call("[3]", JSON)]
    with loaded(folder) as worker:
        replies = send(worker, calls)
    got = [json.loads(reply.body) for reply in replies]
    assert [one["times"] for one in got] == [[10, 20], [10], [30]]
    assert [one["got"] for one in got] == ["str", "bytearray", "str"]


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", None])
def test_forms_are_explained(tmp_path: Path, kind: str | None) -> None:
    class Form(Call):
        row = {"image": bytearray(b"x")}  # noqa: RUF012

    folder = make_folder(tmp_path / "m", scripts.TUPLE)
    [reply] = ours(folder, [Form(b"", kind)])
    assert reply.status == 415
    assert "--data-binary" in message_of(reply)["message"]


def test_text_that_is_no_text_is_400(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.TRANSFORM)
    [reply] = ours(folder, [Call(b"\xff\xfe", JSON)])
    assert reply.status == 400
    assert "UTF-8" in message_of(reply)["message"]


class Asked(Call):
    """A question of TorchServe's own: a row without a body."""

    row: dict[str, Any] = {}  # noqa: RUF012


def test_descriptions_and_explanations(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.MODEL_ONLY)
    described, explained, predicted = ours(
        folder,
        [
            Asked(b"", headers={"describe": "True"}),
            Call(b"", headers={"explain": "True"}),
            Call("[[2]]", JSON, headers={"describe": "True"}),
        ],
    )
    assert json.loads(described.body)["script"] == ["model_fn"]
    assert explained.status == 422
    assert json.loads(predicted.body) == [[1]]


def test_an_answer_over_the_servers_limit_is_413(tmp_path: Path) -> None:
    script = "def model_fn(d): pass\ndef transform_fn(m, d, c, a): return b'x' * 7_000_000\n"
    [reply] = ours(make_folder(tmp_path / "m", script), [Call("x")])
    assert reply.status == 413
    assert "max_response_size" in message_of(reply)["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (json.dumps([["x" * 80_000] + [""] * 2000]), JSON, 413),
        ("x" * 80_000 + ",\n" * 2000, CSV, 413),
        ('["a", "bc"]', JSON, 200),
        (lying(zipfile.ZIP_BZIP2), NPZ, 400),
    ],
)
def test_the_toolkits_decoder_takes_no_more_memory_than_ours(
    tmp_path: Path, body: str | bytes, kind: str, status: int
) -> None:
    script = (
        "from sagemaker_inference import decoder\n"
        "def model_fn(d): return None\n"
        "def transform_fn(m, d, c, a): return str(decoder.decode(d, c).shape)\n"
    )
    [reply] = ours(make_folder(tmp_path / "m", script), [Call(body, kind)])
    assert reply.status == status


def test_an_answer_names_its_worker(tmp_path: Path) -> None:
    script = scripts.CRASHER.replace("return prediction", "raise ValueError")
    folder = make_folder(tmp_path / "m", script)
    replies = ours(folder, [Call("fine"), Call("raise"), Asked(b"", headers={"describe": "True"})])
    assert {reply.headers["x-marquee-worker"] for reply in replies} == {str(os.getpid())}
    assert {reply.headers["x-marquee-version"] for reply in replies} == {"script/unknown"}


OF_TORCHSCRIPT = "RuntimeError('CUDA error: device-side assert triggered')"


@pytest.mark.parametrize("function", ["predict_fn(data, model)", "output_fn(data, accept)"])
@pytest.mark.parametrize("stack", ["never", "always"])
@pytest.mark.parametrize("error", ["torch.AcceleratorError('gone')", OF_TORCHSCRIPT])
def test_a_lost_device_answers_the_rest_of_the_batch_and_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, stack: str, function: str
) -> None:
    ended: list[bool] = []
    monkeypatch.setattr(worker, "exit_soon", lambda: ended.append(True))
    script = f"""
import torch
def model_fn(model_dir): pass
def input_fn(data, content_type): return bytes(data).decode()
def predict_fn(data, model): return data
def {function}:
    if data == "lost":
        raise {error}
    return data
"""
    folder = make_folder(tmp_path / "m", script)
    replies = ours(folder, [Call(body) for body in ("fine", "lost", "late", "later")], stack=stack)
    assert [reply.status for reply in replies] == [200, 503, 503, 503]
    assert "this worker is being replaced" in message_of(replies[3])["message"]
    assert ended == [True]
