"""A model's own limit: what is larger is refused by its head."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from marquee.front.settings import FrontSettings
from tests.front.behind import behind
from tests.front.conftest import Start

MOST = 1000
PATHS = (
    "/predictions/m",
    "/predictions/m/2.0",
    "/explanations/m",
    "/invocations?model=m",
    "/models/m/invoke",
)


@pytest.fixture
def limited(start: Start) -> Iterator[FrontSettings]:
    """A door where ``m`` takes little."""
    settings = start(max_request_sizes={"m": MOST})
    with behind(settings.inference_socket):
        yield settings


def post(settings: FrontSettings, path: str, size: int, *, chunked: bool = False) -> httpx.Response:
    body = bytes(size)
    content = iter([body]) if chunked else body
    return httpx.post(settings.inference_address + path, content=content, trust_env=False)


@pytest.mark.parametrize("path", PATHS)
def test_more_than_a_model_takes_is_refused(limited: FrontSettings, path: str) -> None:
    answer = post(limited, path, MOST + 1)
    assert answer.status_code == 413
    assert answer.json()["type"] == "RequestEntityTooLargeException"
    assert "larger than 1000 bytes, which is all that m takes here" in answer.json()["message"]
    assert post(limited, path, MOST).status_code == 200


def test_other_models_take_what_they_took(limited: FrontSettings) -> None:
    assert post(limited, "/predictions/n", 100 * MOST).status_code == 200
    assert post(limited, "/predictions/n", 100 * MOST, chunked=True).status_code == 200


def test_kserves_requests_are_no_way_around(limited: FrontSettings) -> None:
    answer = post(limited, "/v2/models/m/infer", MOST + 1)
    assert answer.status_code == 413
    assert "which is all that m takes" in answer.json()["error"]


@pytest.mark.parametrize(("size", "status"), [(MOST, 200), (MOST + 1, 413), (100 * MOST, 411)])
def test_chunks_are_counted_as_far_as_they_are_seen(
    limited: FrontSettings, size: int, status: int
) -> None:
    answer = post(limited, "/predictions/m", size, chunked=True)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["code"] == status
        assert f"{MOST} bytes" in answer.json()["message"]


def test_nothing_of_the_body_is_waited_for(limited: FrontSettings) -> None:
    address = urlsplit(limited.inference_address)
    with socket.create_connection((str(address.hostname), int(address.port or 80)), 10) as client:
        client.sendall(
            b"POST /predictions/m HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
