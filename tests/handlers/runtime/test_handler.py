"""The ends of a request's way that other kinds of handler use as well."""

import os
from pathlib import Path

import pytest

from handlers.runtime.errors import TooLarge
from handlers.runtime.handler import check_answer_size
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
