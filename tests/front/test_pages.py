"""``/openapi.json`` and ``/docs`` at the front door."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from marquee_client import Client, Refused
from tests.openapi_trial import tried
from tests.server.test_content_types import SHIP
from tests.support import Running

FILES = ("/docs", "/docs/page.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js")


@pytest.fixture
def described(front: httpx.Client) -> dict[str, Any]:
    """The document, as the door gives it."""
    answer = front.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    made: dict[str, Any] = answer.json()
    return made


def test_the_document_is_the_doors(described: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []
    assert described["servers"] == [{"url": "/"}]
    assert {"/predictions/cifar", "/models/{model}/invoke", "/live"} <= described["paths"].keys()
    given = described["paths"]["/predictions/cifar"]["post"]["parameters"]
    assert ("query", "top_k") in {(one["in"], one["name"]) for one in given}


def test_the_document_asks_for_the_key_and_the_page_does_not(
    stranger: httpx.Client, front: httpx.Client
) -> None:
    assert stranger.get("/openapi.json").json()["type"] == "InvalidKeyException"
    for path in FILES:
        assert stranger.get(path).status_code == 200, path
    assert stranger.get("/docs/other").status_code == 400
    assert front.get("/docs/other").status_code == 404
    refused = front.post("/openapi.json", content=b"{}")
    assert (refused.status_code, refused.json()["code"]) == (405, 405)


def test_the_page_needs_nothing_from_elsewhere(stranger: httpx.Client) -> None:
    answer = stranger.get("/docs")
    sources = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert {one for one in sources if not one.startswith("data:")} == {*FILES[1:]}
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert "<script>" not in answer.text


def test_random_requests_are_answered_as_it_says(door: Running, described: dict[str, Any]) -> None:
    paths = {
        path: item
        for path, item in described["paths"].items()
        if path in {"/predictions/cifar", "/ping", "/live", "/openapi.json"}
    }
    key = door.keys.get("inference")
    trial = tried(described | {"paths": paths}, door.inference, key, examples=4)
    assert trial.failures == []
    assert trial.requests > 10


def test_the_small_client_asks_through_the_door(door: Running, tmp_path: Path) -> None:
    (tmp_path / "ship.png").write_bytes(SHIP)
    with Client(door.inference, door.keys.get("inference")) as client:
        assert client.predict("cifar", tmp_path / "ship.png", top_k=1)["label"] == "ship"
        assert client.predict("cifar", SHIP, accept="npy").shape == (1, 10)
        assert client.explain("cifar", SHIP, steps=8).mode == "RGB"
        assert client.models()["cifar"].ready
        assert client.versions("faulty") == ["1.0", "2.0"]
        with pytest.raises(Refused, match="no-such") as caught:
            client.predict("cifar", SHIP, top_k="no-such")
    assert (caught.value.code, caught.value.type) == (400, "BadRequestException")
    assert caught.value.request_id
