"""The trace that a call of the functions belongs to reaches the endpoint."""

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import shared
import tracing

CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0"
LAMBDAS = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What an endpoint was called with."""
    calls: list[dict[str, Any]] = []

    def invoke(**given: Any) -> dict[str, Any]:
        calls.append(given)
        return {"Body": io.BytesIO(b"{}"), "ContentType": shared.JSON}

    monkeypatch.setattr(shared, "client", lambda _: SimpleNamespace(invoke_endpoint=invoke))
    monkeypatch.setenv("ENDPOINT_NAME", "cifar")
    monkeypatch.delenv(tracing.XRAY, raising=False)
    yield calls
    tracing.came_with("")


def answered(headers: dict[str, str]) -> None:
    @shared.api
    def handler(_event: shared.Event) -> shared.Answer:
        shared.invoke(b"picture", "image/png", shared.JSON)
        return shared.answer(200, {})

    assert handler({"headers": headers}, None)["statusCode"] == 200


@pytest.mark.parametrize(
    ("headers", "lambdas", "told"),
    [
        ({"Traceparent": CLIENTS}, XRAY, CLIENTS),
        ({"traceparent": CLIENTS}, "", CLIENTS),
        ({}, XRAY, LAMBDAS),
        ({}, XRAY.replace("Sampled=1", "Sampled=0"), LAMBDAS[:-1] + "0"),
        ({"traceparent": f"{CLIENTS};model=another"}, XRAY, LAMBDAS),
    ],
)
def test_an_endpoint_is_told_of_the_clients_trace_or_lambdas(
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    lambdas: str,
    told: str,
) -> None:
    monkeypatch.setenv(tracing.XRAY, lambdas)
    answered(headers)
    assert asked[0]["CustomAttributes"] == f"traceparent={told}"


def test_one_clients_trace_is_not_the_next_ones(asked: list[dict[str, Any]]) -> None:
    """Lambda uses a process again."""
    answered({"traceparent": CLIENTS})
    answered({})
    assert ["CustomAttributes" in call for call in asked] == [True, False]
