"""A HAProxy with nothing behind it: what it answers by itself, as in the container."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from marquee.errors import MarqueeError
from marquee.front import config, launch, maps
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from tests.front.behind import behind
from tests.front.conftest import Start
from tests.support import free_ports


def get(settings: FrontSettings, path: str, **more: object) -> httpx.Response:
    return httpx.get(settings.inference_address + path, trust_env=False, **more)  # type: ignore[arg-type]


def test_alive_but_not_ready(start: Start) -> None:
    settings = start()
    assert get(settings, "/live").json() == {"status": "Alive"}
    answer = get(settings, "/ping")
    assert answer.status_code == 503
    assert answer.json() == maps.STARTING
    with pytest.raises(MarqueeError, match="have not been asked yet"):
        Haproxy(settings.folder).ping()


def test_no_server_is_a_503_in_json(start: Start) -> None:
    answer = get(start(), "/predictions/cifar")
    assert answer.status_code == 503
    assert answer.json()["type"] == "ServiceUnavailableException"
    assert answer.headers["retry-after"] == "2"


def test_a_taken_port_is_told(start: Start, tmp_path: Path) -> None:
    settings = start()
    other = FrontSettings(folder=tmp_path / "other", inference_address=settings.inference_address)
    config.write(other)
    with pytest.raises(MarqueeError, match="did not start"):
        launch.start(other, lambda _: None)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED, TLS at the front door: no openssl to make a certificate with")
    key, crt, both = (tmp_path / name for name in ("key", "crt", "both.pem"))
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    names = ["-subj", "/CN=door", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", *words.split(), "-keyout", key, "-out", crt, *names],
        check=True,
        capture_output=True,
    )
    both.write_text(crt.read_text() + key.read_text())
    return both


def test_tls(start: Start, certificate: Path) -> None:
    settings = start("https", tls_certificate=certificate)
    trusted = ssl.create_default_context(cafile=certificate)
    assert get(settings, "/live", verify=trusted).json() == {"status": "Alive"}
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        get(settings, "/live")


def test_a_certificate_that_is_none_is_told(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "bad.pem"
    path.write_text("no certificate")
    with pytest.raises(MarqueeError, match="HAProxy refuses the front's settings"):
        start("https", tls_certificate=path)


@pytest.mark.parametrize("key", [None, "management", "api"])
def test_tokens_are_not_renewed_behind_the_door(
    start: Start, tmp_path: Path, key: str | None
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"inference": {"key": "one"}, "management": {"key": "management"}}')
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    start(management_address=address, key_file=keys)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    for path in ("/token?type=inference", "/token/"):
        answer = httpx.get(address + path, headers=headers, trust_env=False)
        assert answer.status_code == 400
        assert "are not renewed" in answer.json()["message"]


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("traced", [True, False])
def test_a_trace_goes_on_to_the_workers(start: Start, traced: bool) -> None:
    settings = start(traced=traced)
    sent = {"traceparent": TRACEPARENT, "tracestate": "a=b", "X-Door-Arrived": "1"}
    with behind(settings.inference_socket):
        before = time.time_ns() // 1000
        got = get(settings, "/predictions/m", headers=sent).json()["headers"]
        after = time.time_ns() // 1000
    assert (got["traceparent"], got["tracestate"]) == (TRACEPARENT, "a=b")
    # Only where somebody takes traces is the time worth a header; a client's is never believed.
    assert (before <= int(got["x-door-arrived"]) <= after) is traced
