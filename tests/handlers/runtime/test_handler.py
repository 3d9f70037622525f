"""The ends of a request's way that other kinds of handler use as well."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from handlers.runtime import NPY, Request, Result, VisionHandler
from handlers.runtime.errors import (
    BadRequest,
    InternalError,
    RequestError,
    TooLarge,
    Unprocessable,
)
from handlers.runtime.exchange import Answer, Exchange
from handlers.runtime.handler import LoadError, check_answer_size
from tests.handlers.loading import WorkerContext, load
from tests.handlers.runtime.test_handler_explanations import RED, Reddish


def test_an_answer_over_the_servers_limit_is_refused_with_the_settings_name() -> None:
    check_answer_size(b"1234", 4)
    with pytest.raises(TooLarge, match=r"5 bytes, the server sends at most 4.*max_response_size"):
        check_answer_size(b"12345", 4)


def test_every_answer_names_its_worker(tmp_path: Path) -> None:
    handler = load(Reddish(), tmp_path / "none.pth")
    context = WorkerContext({"model": {"modelVersion": "3.1"}}, {}, {}, "red")
    handler.handle([{"body": RED}, {"body": b"no image"}], context)
    assert context.statuses == {0: 200, 1: 400}
    for index in (0, 1):
        assert context.headers[f"{index} x-marquee-version"] == "red/3.1"
        assert context.headers[f"{index} x-marquee-worker"] == str(os.getpid())


class Failing(VisionHandler):
    """Fails where it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def load(self, model_dir: Path) -> nn.Module:
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


class Answers(VisionHandler):
    """A handler whose every answer is known beforehand."""

    def __init__(self, error: RequestError | None) -> None:
        self.error = error

    def load(self, model_dir: Path) -> nn.Module:
        raise NotImplementedError

    def preprocess(self, request: Request) -> Tensor:
        raise NotImplementedError

    def postprocess(self, output: Tensor, request: Request) -> Result:
        raise NotImplementedError

    def answer(self, exchanges: list[Exchange]) -> None:
        for exchange in exchanges:
            if self.error is None:
                exchange.answer = Answer(b"\x93NUMPY\xff", NPY)
            else:
                exchange.fail(self.error)


def test_an_example_that_cannot_be_processed_is_noted_and_the_model_serves(tmp_path: Path) -> None:
    (tmp_path / "example.png").write_bytes(b"picture")
    handler = Answers(Unprocessable("too many boxes"))
    handler._warm_up(tmp_path)
    assert handler.refused_examples == ("example.png: too many boxes",)
    fine = Answers(None)
    fine._warm_up(tmp_path)
    assert fine.refused_examples == ()


@pytest.mark.parametrize("error", [BadRequest("no image"), InternalError("it failed")])
def test_any_other_failure_on_its_example_is_the_models(
    tmp_path: Path, error: RequestError
) -> None:
    (tmp_path / "example.png").write_bytes(b"picture")
    with pytest.raises(LoadError, match=r"own example example\.png was answered with .*code"):
        Answers(error)._warm_up(tmp_path)
