"""Handlers of somebody else's, asked as TorchServe asks them."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marquee.archives.worker import OfflineWorker, WorkerRequest
from marquee.conformance import batches, good_requests
from marquee.conformance.subject import CheckFailed, CheckSkipped, Subject

HANDLE = """
def handle(data, context):
    if data is None:
        return None
    {statement}
    return [str(len(row.get("body", b""))) for row in data]
"""
ASYNC = """
class Handler:
    def initialize(self, context):
        pass

    async def handle(self, data, context):
        return ["answer" for _ in data]
"""
Load = Callable[..., Subject]
_numbers = itertools.count()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load a handler in this process; its module has a name of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    workers: list[OfflineWorker] = []

    def made(code: str, statement: str = "", config: str = "") -> Subject:
        name = f"foreign_{next(_numbers)}.py"
        (tmp_path / name).write_text(code.replace("{statement}", statement or "pass"))
        model = {"modelName": "m", "handler": name, "configFile": "model-config.yaml"}
        (tmp_path / "MAR-INF").mkdir(exist_ok=True)
        (tmp_path / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"model": model}))
        (tmp_path / "model-config.yaml").write_text(config or "minWorkers: 1")
        (tmp_path / "example.txt").write_text("a cat sat")
        workers.append(OfflineWorker(tmp_path))
        return Subject(workers[-1], tmp_path, tmp_path / "m.mar")

    yield made
    for worker in workers:
        worker.close()


@pytest.mark.parametrize(
    ("code", "config", "told"),
    [
        (ASYNC, "", "is 'async def', which TorchServe awaits only with asyncCommunication: true"),
        (ASYNC, "asyncCommunication: yes please", "'async def', which TorchServe awaits only"),
        (HANDLE, "asyncCommunication: true", "a list of 1; with asyncCommunication: true in mo"),
    ],
)
def test_only_what_the_archive_says_is_awaited(
    load: Load, code: str, config: str, told: str
) -> None:
    with pytest.raises(CheckFailed, match=told):
        good_requests.example(load(code, config=config))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("return [b'x'] * 3", "the handler returned a list of 3, expected a list of 1 answer; Tor"),
        ("return 'x'", "the handler returned a value of type str, expected a list of 1 answer;"),
        ("return", "the handler returned None, expected a list of 1 answer; TorchServe fails"),
        ("return [{1, 2}]", "the handler returned set: Unsupported model output data type.; To"),
        ("raise ValueError('no')", "the handler raised ValueError: no; TorchServe fails the wh"),
    ],
)
def test_what_torchserve_would_not_serve_is_told(load: Load, statement: str, told: str) -> None:
    with pytest.raises(CheckFailed, match=told):
        good_requests.example(load(HANDLE, statement))


def test_what_is_wrong_with_a_batch_is_said_in_numbers(load: Load) -> None:
    subject = load(HANDLE, "return None")
    first, _ = subject.worker.ask(subject.request(), subject.request())
    assert first.raised == "the handler returned None, expected a list of 2 answers"


def test_an_error_that_torchserve_passes_on_is_an_answer(load: Load) -> None:
    statement = "from ts.utils.util import PredictionException as P; raise P('no cat', 400)"
    subject = load(HANDLE, statement)
    with pytest.raises(
        CheckFailed, match='answered with 400: {"code": 400, .* "message": "no cat"}'
    ):
        good_requests.example(subject)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("bytearray(b'x')", b"x"),
        ("'ä'", "ä".encode()),
        ("{'a': 1}", b'{\n  "a": 1\n}'),
        ("None", b"null"),
    ],
)
def test_what_torchserve_sends_for_a_value(load: Load, answer: str, body: bytes) -> None:
    assert load(HANDLE, f"return [{answer}]").answer.body == body


def test_a_tensor_is_sent_as_a_file(load: Load) -> None:
    assert load(HANDLE, "import torch; return [torch.ones(1)]").answer.body.startswith(b"PK")


@pytest.mark.parametrize(
    ("kind", "body", "seen"),
    [
        ("application/json", b"[1]", "list"),
        ("application/json", b"[1", "bytes"),
        ("text/csv", b"1,2", "str"),
        ("image/png", b"[1]", "bytes"),
    ],
)
def test_bodies_are_decoded_unless_torchserve_is_told_not_to(
    load: Load, monkeypatch: pytest.MonkeyPatch, kind: str, body: bytes, seen: str
) -> None:
    subject = load(HANDLE, "return [type(row['body']).__name__ for row in data]")
    asked = WorkerRequest({"content-type": kind}, body)
    monkeypatch.delenv("TS_DECODE_INPUT_REQUEST", raising=False)
    assert subject.ask(asked).body == seen.encode()
    monkeypatch.setenv("TS_DECODE_INPUT_REQUEST", "false")
    assert subject.ask(asked).body == b"bytes"


def test_status_and_headers_of_each_request(load: Load) -> None:
    subject = load(
        HANDLE,
        "context.set_response_status(422, 'No', idx=1); context.set_response_header(1, 'A', 'b')",
    )
    first, second = subject.worker.ask(subject.request(), WorkerRequest({}, b"12"))
    assert (first.status, first.headers, first.body) == (200, {}, b"9")
    assert (second.status, second.headers, second.body) == (422, {"a": "b"}, b"2")


def test_pieces_belong_to_their_requests(load: Load) -> None:
    code = """
from ts.handler_utils.utils import send_intermediate_predict_response as send

def handle(data, context):
    if data is not None:
        context.set_response_status(201, "Made", idx=1)
        send(["a", "b"], context.request_ids, "more", 200, context)
        context.set_response_status(500, "Late", idx=1)
        return ["c", "d"]
"""
    subject = load(code)
    first, second = subject.worker.ask(subject.request(), subject.request())
    assert (first.pieces, first.body) == ((b"a", b"c"), b"ac")
    assert (second.pieces, second.status) == ((b"b", b"d"), 201)


def test_no_batches_are_tried_where_the_archive_asks_for_none(load: Load) -> None:
    code = HANDLE.replace("for row in data", "for row in data[:1]")
    alone = load(code)
    for check in (batches.batch_against_single, batches.bad_in_a_batch):
        with pytest.raises(CheckSkipped, match="no batchSize above 1"):
            check(alone)
    with pytest.raises(CheckFailed, match="returned a list of 1, expected a list of 4 answers"):
        batches.bad_in_a_batch(load(code, config="batchSize: 4"))


def test_a_handler_that_knows_no_descriptions_is_no_failure(load: Load) -> None:
    code = HANDLE.replace('row.get("body", b"")', 'row["body"]')
    with pytest.raises(CheckSkipped, match="it has no description: the handler raised KeyError"):
        good_requests.description(load(code))
