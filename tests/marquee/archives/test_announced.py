"""Steps that take long are told, short ones are not."""

from __future__ import annotations

import threading

import pytest

from marquee.archives import build


def test_a_step_that_takes_long_is_said_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "QUIET_SECONDS", 0.01)
    said, heard = [], threading.Event()

    def say(line: str) -> None:
        said.append(line)
        heard.set()

    with build.announced("packing ...", say):
        assert heard.wait(30)
    assert said == ["packing ..."]


def test_a_short_one_is_not() -> None:
    said: list[str] = []
    with build.announced("packing ...", said.append), build.announced("nobody listens", None):
        pass
    assert not said
