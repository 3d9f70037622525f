"""config.properties on the running server, and the environment that overrides it."""

from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from marquee.project import Project
from tests.server.test_content_types import CIFAR, SHIP, npy
from tests.support import Running, marquee, serving


def test_requests_of_a_hundred_megabytes_pass_and_larger_ones_do_not(
    client: httpx.Client,
) -> None:
    accepted = client.post(CIFAR, content=b"x" * 104_000_000)
    assert accepted.status_code == 400
    assert "no image" in accepted.json()["message"]
    assert client.post(CIFAR, content=b"x" * 105_000_000).status_code == 413


def test_stage_times_are_published(server: Running, client: httpx.Client) -> None:
    client.post(CIFAR, content=SHIP)
    lines = server.metrics().splitlines()
    counts = [line for line in lines if line.startswith("marquee_stage_seconds_count")]
    stages = ("decode", "preprocess", "model", "postprocess", "encode")
    found = [s for s in stages if any(f'"{s}"' in c and '"cifar"' in c for c in counts)]
    assert found == [*stages]


def test_one_readable_line_a_request(server: Running, client: httpx.Client) -> None:
    client.post(CIFAR, content=SHIP)
    lines = (server.project.logs / "access_log.log").read_text().splitlines()
    assert any(f'"POST {CIFAR} HTTP/1.1" 200' in line for line in lines[-3:])
    assert "INFO" not in (server.project.logs / "ts_log.log").read_text()


def test_only_archives_of_the_store_can_be_registered(server: Running) -> None:
    with server.management() as client:
        for url in ("http://127.0.0.1:9/x.mar", "file:///etc/x.mar", "https://example.org/x.mar"):
            answer = client.post("/models", params={"url": url})
            assert answer.status_code == 404, answer.text
            assert "allowed" in answer.text


def test_everything_listens_on_loopback_only(server: Running) -> None:
    pid = int((Path(server.environment["TEMP"]) / ".model_server.pid").read_text())
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 5  # inference, management, metrics and two of gRPC
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1"}


@pytest.mark.server
def test_the_environment_wins(small_project: Project) -> None:
    limits = {
        "TS_MAX_REQUEST_SIZE": "50000",
        "TS_MAX_RESPONSE_SIZE": "3000",
        "TS_DEFAULT_RESPONSE_TIMEOUT": "77",
    }
    built = marquee(small_project, "archive", **limits)
    assert built.returncode == 0, built.stderr
    with serving(small_project, **limits) as running, running.client() as client:
        assert running.describe("cifar", "2.0")["responseTimeout"] == 77
        assert client.post(CIFAR, content=SHIP).status_code == 200
        assert client.post(CIFAR, content=b"x" * 50_001).status_code == 413
        pictures = np.zeros((10, 3, 32, 32), np.uint8)
        answer = client.post(CIFAR, content=npy(pictures))  # ten answers of 300 bytes and more
        assert answer.status_code == 413
        assert "3000" in answer.json()["message"]


def test_the_file_alone_decides_without_the_environment(project: Project, server: Running) -> None:
    assert project.properties["max_request_size"] == "104857600"
    assert server.describe("cifar", "2.0")["responseTimeout"] == 120
