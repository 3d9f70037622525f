"""What HAProxy prints is passed on whole, the lines of a moment together."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from marquee.front import config, launch
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from tests.front.support import wait_for
from tests.support import free_ports

REQUESTS = 300


def test_lines_are_whole_however_they_come() -> None:
    reading, writing = os.pipe()
    try:
        found = launch.gathered(reading)
        os.write(writing, b"one\ntwo\nth")
        assert next(found) == ["one", "two"]
        os.write(writing, "ree ü\nfour".encode())
        assert next(found) == ["three ü"]
        os.close(writing)
        assert list(found) == [["four"]]
    finally:
        os.close(reading)


@pytest.mark.usefixtures("haproxy")
def test_no_line_is_lost_and_not_each_one_comes_alone(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = FrontSettings(
        folder=tmp_path / "front", inference_address=f"http://127.0.0.1:{port}"
    )
    config.write(settings)
    seen: list[list[str]] = []
    running = launch.start(settings, seen.append)
    try:
        with httpx.Client(base_url=settings.inference_address, trust_env=False) as client:
            for number in range(REQUESTS):
                client.get(f"/{number}")
    finally:
        Haproxy(settings.folder).stop()
        running.wait(10)
    wait_for(lambda: launch.all_read(running), "the end of the lines")
    lines = [line for some in seen for line in some if line.startswith("{")]
    assert [json.loads(line)["path"] for line in lines] == [f"/{n}" for n in range(REQUESTS)]
    assert len(seen) < REQUESTS
