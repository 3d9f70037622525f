"""Ray Serve that is not up in time at its first try."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ray import serve
from ray.exceptions import RayActorError

from marquee.errors import MarqueeError
from marquee.ray import application


@pytest.fixture(params=[RayActorError(), TimeoutError("not available")])
def tries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Serve was started with; the first try fails."""
    found: list[dict[str, Any]] = []

    def start(**options: Any) -> None:
        found.append(options)
        if len(found) == 1:
            raise request.param

    monkeypatch.setattr(serve, "start", start)
    return found


@pytest.fixture
def listening() -> Iterator[str]:
    """An address at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_its_second_proxy_is_waited_for(tries: list[dict[str, Any]], listening: str) -> None:
    application._start_serve(listening, "HeadOnly", {"port": 1})
    assert [one.get("http_options") for one in tries] == [{"port": 1}, None]


def test_one_that_never_listens_is_told(
    tries: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "PROXY_SECONDS", 0.0)
    with pytest.raises(MarqueeError, match=r"does not listen at http://127.0.0.1:1 0 s after"):
        application._start_serve("http://127.0.0.1:1", "HeadOnly", {})
    assert len(tries) == 1
