"""The ends of a request's way that other kinds of handler use as well."""

from pathlib import Path

import pytest
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


def test_an_answer_over_the_servers_limit_is_refused_with_the_settings_name() -> None:
    check_answer_size(b"1234", 4)
    with pytest.raises(TooLarge, match=r"5 bytes, the server sends at most 4.*max_response_size"):
        check_answer_size(b"12345", 4)


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
