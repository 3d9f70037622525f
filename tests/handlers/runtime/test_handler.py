"""The ends of a request's way that other kinds of handler use as well."""

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bench.gpu_archive import Context
from handlers.runtime import JSON, NPY, Request, Result, VisionHandler
from handlers.runtime.endings import check_answer_size
from handlers.runtime.errors import (
    BadRequest,
    InternalError,
    RequestError,
    TooLarge,
    Unprocessable,
)
from handlers.runtime.exchange import Answer, Exchange
from handlers.runtime.pace import held_pixels
from handlers.runtime.worker import LoadError
from tests.handlers.loading import answers, load, png, prediction
from tests.handlers.runtime.test_handler_explanations import RED, Reddish

BLUE = png(np.full((8, 8, 3), (0, 0, 255), np.uint8))


def test_an_answer_over_the_servers_limit_is_refused_with_the_settings_name() -> None:
    check_answer_size(b"1234", 4)
    with pytest.raises(TooLarge, match=r"5 bytes, the server sends at most 4.*max_response_size"):
        check_answer_size(b"12345", 4)


def test_every_answer_names_its_worker(tmp_path: Path) -> None:
    handler = load(Reddish(), tmp_path / "none.pth")
    context = Context({"model": {"modelVersion": "3.1"}}, {}, {}, "red")
    handler.handle([{"body": RED}, {"body": b"no image"}], context)
    assert context.statuses == {0: 200, 1: 400}
    for index in (0, 1):
        assert context.headers[f"{index} x-marquee-version"] == "red/3.1"
        assert context.headers[f"{index} x-marquee-worker"] == str(os.getpid())


class Failing(VisionHandler):
    """Fails where it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def load(self) -> nn.Module:
        return nn.Identity()

    def preprocess(self, request: Request) -> Tensor:
        return self.pass_on("preprocess", torch.zeros(1))

    def forward(self, batch: Tensor) -> Tensor:
        return self.pass_on("forward", batch)

    def postprocess(self, output: Tensor, request: Request) -> Result:
        return Result(json=float(self.pass_on("postprocess", output)))

    def pass_on(self, where: str, value: Tensor) -> Tensor:
        if where == self.where:
            raise KeyError(f"no {where}")
        return value


@pytest.mark.parametrize("where", ["preprocess", "forward", "postprocess"])
def test_what_was_raised_on_the_example_is_told_where_no_server_logs(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "example.png").write_bytes(b"any")
    with pytest.raises(
        LoadError, match=rf"example\.png was answered with 500: KeyError: 'no {where}"
    ):
        load(Failing(where), tmp_path / "none.pth")
    load(Failing("nowhere"), tmp_path / "none.pth")


UNASKED = "whoever knows its answers beforehand is asked for nothing else"


class Answers(VisionHandler):
    """A handler whose every answer is known beforehand."""

    def __init__(self, model_dir: Path, error: RequestError | None) -> None:
        self.model_dir = model_dir
        self.error = error

    def load(self) -> nn.Module:
        raise AssertionError(UNASKED)

    def preprocess(self, request: Request) -> Tensor:
        raise AssertionError(UNASKED)

    def postprocess(self, output: Tensor, request: Request) -> Result:
        raise AssertionError(UNASKED)

    def answer(self, exchanges: list[Exchange]) -> None:
        for exchange in exchanges:
            if self.error is None:
                exchange.answer = Answer(b"\x93NUMPY\xff", NPY)
            else:
                exchange.fail(self.error)


def test_an_example_that_cannot_be_processed_is_noted_and_the_model_serves(tmp_path: Path) -> None:
    (tmp_path / "example.png").write_bytes(b"picture")
    handler = Answers(tmp_path, Unprocessable("too many boxes"))
    handler._warm_up()
    assert handler.refused_examples == ("example.png: too many boxes",)
    fine = Answers(tmp_path, None)
    fine._warm_up()
    assert fine.refused_examples == ()


@pytest.mark.parametrize("error", [BadRequest("no image"), InternalError("it failed")])
def test_any_other_failure_on_its_example_is_the_models(
    tmp_path: Path, error: RequestError
) -> None:
    (tmp_path / "example.png").write_bytes(b"picture")
    with pytest.raises(LoadError, match=r"own example example\.png was answered with .*code"):
        Answers(tmp_path, error)._warm_up()


@pytest.mark.parametrize(
    ("pixels", "parts"), [(64, [1, 1, 1, 1]), (65, [2, 2]), (192, [3, 1]), (10_000, [4])]
)
def test_a_batch_of_many_pixels_goes_in_parts(
    tmp_path: Path, pixels: int, parts: list[int]
) -> None:
    seen: list[int] = []

    class Counted(Reddish):
        def forward(self, batch: Tensor) -> Tensor:
            seen.append(len(batch))
            assert sum(one.items is not None for one in asked) == len(batch)
            return super().forward(batch)

    counted = load(
        Counted(), tmp_path / "none.pth", marquee={"max_batch": 8, "max_batch_pixels": pixels}
    )
    asked = [prediction(RED), prediction(b"bad"), *(prediction(RED) for _ in range(3))]
    assert [one.status for one in answers(counted, *asked)] == [200, 400, 200, 200, 200]
    assert seen == parts
    assert all(one.items is None and one.request is None for one in asked)


def test_pictures_that_wait_for_their_answer_are_counted() -> None:
    request = Request((), {}, JSON, notes={"a": Image.new("RGB", (5, 4)), "b": np.ones((2, 3, 3))})
    exchange = Exchange({}, request=request, items=torch.zeros(2, 3, 4, 4))
    assert held_pixels(exchange) == 20 + 6 + 32


def test_when_half_of_the_time_is_gone_no_request_is_begun(tmp_path: Path) -> None:
    class Slow(Reddish):
        def preprocess(self, request: Request) -> Tensor:
            time.sleep(1.1)
            return super().preprocess(request)

    slow = load(Slow(), tmp_path / "none.pth", responseTimeout=2)
    done, *late = answers(slow, *(prediction(RED) for _ in range(3)))
    assert done.status == 200
    assert [one.status for one in late] == [503, 503]
    assert b"responseTimeout, 2 s" in late[0].body


ALLOCATOR = RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate")


@pytest.mark.parametrize("where", ["preprocess", "postprocess"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ALLOCATOR, 507),
        (MemoryError(), 507),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 507),
        (RuntimeError("std::bad_alloc"), 507),
        (ValueError("a client's words: DefaultCPUAllocator"), 500),
        (OSError(errno.ENOSPC, "No space left"), 500),
    ],
)
def test_out_of_memory_is_told_as_that_wherever_it_comes(
    tmp_path: Path, where: str, error: Exception, status: int
) -> None:
    class Greedy(Reddish):
        def fail_on_blue(self, request: Request) -> None:
            if request.payload.data == BLUE:
                raise error

        def preprocess(self, request: Request) -> Tensor:
            if where == "preprocess":
                self.fail_on_blue(request)
            return super().preprocess(request)

        def postprocess(self, output: Tensor, request: Request) -> Result:
            if where == "postprocess":
                self.fail_on_blue(request)
            return super().postprocess(output, request)

    greedy = load(Greedy(), tmp_path / "none.pth")
    told = answers(greedy, prediction(RED), prediction(BLUE), prediction(RED))
    assert [one.status for one in told] == [200, status, 200]


def test_a_header_of_a_clients_does_not_turn_its_request_into_another(tmp_path: Path) -> None:
    handler = load(Reddish(), tmp_path / "none.pth")
    form = {"describe": "True", "Content-Type": "application/x-www-form-urlencoded"}
    described, predicted, empty, no_fields = answers(
        handler,
        Exchange({}, {"describe": "True", "explain": "True"}),
        prediction(RED, describe="True"),
        prediction(b"", describe="True"),
        Exchange({}, form),
    )
    assert "consumes" in json.loads(described.body)
    assert predicted.body == b"1.0"
    assert empty.status == 400
    assert no_fields.status == 415


class Faulty(Reddish):
    """Raises what its test says, for a blue picture."""

    error: BaseException

    def preprocess(self, request: Request) -> Tensor:
        pixels = super().preprocess(request)
        if pixels[2].max() > 0:
            raise self.error
        return pixels


def refused_after(cause: Exception) -> Unprocessable:
    error = Unprocessable("not with me")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "statuses"),
    [
        (ValueError("odd"), [200, 500, 200]),
        (SystemExit(1), [200, 500, 200]),
        (MemoryError(), [200, 507, 200]),
        # Nothing is begun on a lost device any more.
        (torch.AcceleratorError("gone"), [200, 503, 503]),
        (RuntimeError("TorchScript: CUDA error: device-side assert triggered"), [200, 503, 503]),
        # In the model's own words, but lost all the same.
        (refused_after(torch.AcceleratorError("gone")), [200, 422, 503]),
        # Refused for the one request alone: its memory did not suffice, but the device is there.
        (torch.AcceleratorError("CUDA error: out of memory"), [200, 507, 200]),
    ],
)
def test_what_a_request_raises_is_its_own_affair(
    tmp_path: Path, error: BaseException, statuses: list[int]
) -> None:
    faulty = load(Faulty(), tmp_path / "none.pth")
    faulty.error = error
    batch = [prediction(body) for body in (RED, BLUE, RED)]
    assert [answer.status for answer in answers(faulty, *batch)] == statuses


def test_a_device_that_no_longer_answers_is_lost_whatever_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = load(Faulty(), tmp_path / "none.pth")
    faulty.error = RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")

    def gone(_: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "synchronize", gone)
    batch = [prediction(body) for body in (RED, BLUE, RED)]
    assert [answer.status for answer in answers(faulty, *batch)] == [200, 500, 200]
    faulty.device = torch.device("cuda", 0)
    batch = [prediction(body) for body in (RED, BLUE, RED)]
    assert [answer.status for answer in answers(faulty, *batch)] == [200, 503, 503]


def test_a_device_lost_while_loading_says_how(tmp_path: Path) -> None:
    faulty = Faulty()
    faulty.error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    (tmp_path / "example.png").write_bytes(BLUE)
    with pytest.raises(LoadError, match=r"example.png was answered with 503: .*illegal memory"):
        load(faulty, tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("threads", "example", "expected"), [(0, RED, [True]), (1, RED, []), (0, b"no picture", [])]
)
def test_a_worker_measures_its_example_unless_its_threads_are_set(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    example: bytes,
    expected: list[bool],
) -> None:
    class Picky(Reddish):
        def preprocess(self, request: Request) -> Tensor:
            if request.payload.data != RED:
                raise Unprocessable("not red")
            return super().preprocess(request)

    def choose(run: Callable[[], float], most: int, took: float) -> None:
        assert most == handler.threads
        assert took > 0
        measured.append(run() > 0)

    measured: list[bool] = []
    monkeypatch.setattr("handlers.runtime.handler.serves_torchserve", lambda: True)
    monkeypatch.setattr("handlers.runtime.handler.choose_threads", choose)
    (tmp_path / "example.png").write_bytes(example)
    handler = Picky()
    before = torch.get_num_threads()
    load(handler, tmp_path / "none.pth", marquee={"threads": threads})
    torch.set_num_threads(before)
    assert measured == expected
