"""Pages of other origins: preflights, and what a browser is told of an answer."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from marquee.errors import MarqueeError
from marquee.front import origins
from marquee.front.settings import FrontSettings
from tests.front.behind import behind
from tests.front.conftest import Start

PAGE = "https://pages.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


def options(settings: FrontSettings, headers: dict[str, str]) -> httpx.Response:
    url = f"{settings.inference_address}/predictions/m"
    return httpx.request("OPTIONS", url, headers=headers, trust_env=False)


def post(settings: FrontSettings, **headers: str) -> httpx.Response:
    url = f"{settings.inference_address}/predictions/m"
    return httpx.post(url, content=b"x", headers=headers, trust_env=False)


def test_a_page_that_may_ask_is_told_so(start: Start) -> None:
    settings = start(allowed_origins=("http://localhost:3000", PAGE))
    wanted = "authorization,content-type,x-marquee-top-k"
    preflight = options(
        settings, {"Origin": PAGE, "Access-Control-Request-Headers": wanted} | PREFLIGHT
    )
    assert preflight.status_code == 204
    assert preflight.content == b""
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert preflight.headers["access-control-allow-headers"] == wanted
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in preflight.headers
    with behind(settings.inference_socket):
        answer = post(settings, Origin=PAGE)
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == [PAGE]
    assert "X-Marquee-Version" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"


def test_a_preflight_without_headers_is_granted_the_usual_ones(start: Start) -> None:
    settings = start(allowed_origins=(PAGE,))
    for asked in ({}, {"Access-Control-Request-Headers": 'a"b'}):
        answer = options(settings, {"Origin": PAGE} | PREFLIGHT | asked)
        assert "Authorization" in answer.headers["access-control-allow-headers"]


def test_errors_can_be_read_by_the_page_too(start: Start) -> None:
    answer = post(start(allowed_origins=(PAGE,)), Origin=PAGE)
    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("allowed", [(), (PAGE,)])
@pytest.mark.parametrize("origin", ["https://pages.example.evil", "https://pages.example:8443"])
def test_another_page_is_told_nothing(start: Start, allowed: tuple[str, ...], origin: str) -> None:
    settings = start(allowed_origins=allowed)
    preflight = options(settings, {"Origin": origin} | PREFLIGHT)
    assert preflight.status_code == 403
    assert "allowed_origins" in preflight.json()["message"]
    with behind(settings.inference_socket):
        answer = post(settings, Origin=origin)
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]


def test_all_pages_may_ask(start: Start) -> None:
    settings = start(allowed_origins=("*",))
    assert options(settings, {"Origin": "null"} | PREFLIGHT).status_code == 204
    with behind(settings.inference_socket):
        assert post(settings, Origin=PAGE).headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-origin" not in post(settings).headers


def test_a_preflight_needs_no_key(start: Start, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"inference": {"key": "one"}, "management": {"key": "two"}}')
    settings = start(allowed_origins=(PAGE,), key_file=keys)
    assert options(settings, {"Origin": PAGE} | PREFLIGHT).status_code == 204
    refused = post(settings, Origin=PAGE)
    assert refused.json()["type"] == "InvalidKeyException"
    assert refused.headers["access-control-allow-origin"] == PAGE
    # What is no preflight wants the key as ever.
    assert options(settings, {"Origin": PAGE}).status_code == 400


def test_other_options_go_to_torchserve(start: Start) -> None:
    settings = start()
    with behind(settings.inference_socket):
        assert options(settings, {}).json()["path"] == "/predictions/m"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("none", ()),
        ("*", ("*",)),
        (
            " https://A.example , http://[::1]:3000,null",
            ("https://a.example", "http://[::1]:3000", "null"),
        ),
    ],
)
def test_a_list_of_origins(text: str, found: tuple[str, ...]) -> None:
    assert origins.read(text, "allowed_origins") == found


@pytest.mark.parametrize("text", ["https://a.example/", "a.example", "https://a b", "https://*.a"])
def test_what_is_no_origin_is_told(text: str) -> None:
    with pytest.raises(MarqueeError, match="allowed_origins has .* which is no origin"):
        origins.read(text, "allowed_origins")
