"""The front door knows which requests have no answer yet, and whether they may be a version's."""

from __future__ import annotations

import contextlib
import threading

import httpx
import pytest

from marquee.errors import MarqueeError
from marquee.front import launch, runtime
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from tests.front.behind import behind
from tests.front.support import wait_for


def ask(settings: FrontSettings, path: str) -> threading.Thread:
    url = settings.inference_address + path
    thread = threading.Thread(target=httpx.post, args=(url,), kwargs={"trust_env": False})
    thread.start()
    return thread


@pytest.fixture(scope="module", name="settings")
def fixture_settings(lone_door: FrontSettings) -> FrontSettings:
    return lone_door


@pytest.fixture(scope="module")
def front(settings: FrontSettings) -> Haproxy:
    haproxy = Haproxy(settings.folder)

    def listens() -> bool:
        with contextlib.suppress(MarqueeError):
            return bool(runtime.worker_pids(haproxy.master))
        return False

    wait_for(listens, "the master's socket")
    return haproxy


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("/predictions/m", 1),
        ("/predictions/m/1.0", 1),
        ("/explanations/m", 1),
        ("/models/m/invoke", 1),
        ("/invocations?model=m", 1),
        ("/v1/models/m:predict", 1),  # whose model the door does not look at
        ("/predictions/m/2.0", 0),
        ("/predictions/other", 0),
    ],
)
def test_a_request_counts_until_it_is_answered(
    settings: FrontSettings, front: Haproxy, path: str, counts: int
) -> None:
    with behind(settings.inference_socket) as server:
        server.go.clear()
        request = ask(settings, path)
        wait_for(lambda: server.held == 1, "the request")
        assert front.in_flight("m", "1.0") == counts
        epoch = front.begin_epoch()
        assert front.in_flight("m", "1.0", before=epoch) == counts
        server.go.set()
        request.join(30)
        wait_for(lambda: front.in_flight("m", "1.0") == 0, "the end of the request")


def test_requests_that_came_since_are_of_another_epoch(
    settings: FrontSettings, front: Haproxy
) -> None:
    with behind(settings.inference_socket) as server:
        server.go.clear()
        epoch = front.begin_epoch()
        request = ask(settings, "/predictions/m")
        wait_for(lambda: server.held == 1, "the request")
        assert front.in_flight("m", "1.0") == 1
        assert front.in_flight("m", "1.0", before=epoch) == 0
        server.go.set()
        request.join(30)


def test_requests_from_before_a_reload_count_too(settings: FrontSettings, front: Haproxy) -> None:
    with behind(settings.inference_socket) as server:
        server.go.clear()
        request = ask(settings, "/predictions/m")
        wait_for(lambda: server.held == 1, "the request")
        launch.reload(settings)
        assert front.in_flight("m", "1.0", before=front.begin_epoch()) == 1
        server.go.set()
        request.join(30)


def test_a_door_that_does_not_count_is_told(
    front: Haproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "IN_FLIGHT", "nothing")
    with pytest.raises(MarqueeError, match="restart the server"):
        front.in_flight("m", "1.0")
