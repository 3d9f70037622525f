"""The studio's own door, and the command before it."""

from __future__ import annotations

import importlib.util
import re
import socket

import pytest
from click.testing import CliRunner

from marquee.cli.main import main
from marquee.studio import run


def test_only_a_shared_studio_listens_to_others() -> None:
    assert run.Door(0).host == "127.0.0.1"
    assert run.Door(0, "secret").host == "0.0.0.0"  # noqa: S104


def test_a_password_that_is_made_up_is_long_and_never_the_same() -> None:
    first, second = run.made_up_password(), run.made_up_password()
    assert first != second
    assert re.fullmatch(r"(\w{4}-){3}\w{4}", first)


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = CliRunner().invoke(main, ["studio", "--url", "http://127.0.0.1:1", "--port", port])
    assert said.exit_code == 1
    assert f"127.0.0.1:{port}" in said.output
    assert "--port 0" in said.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--password", "x"], "--share-on-lan"),
        (["--management-url", "http://127.0.0.1:8081"], "--url"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], told: str) -> None:
    said = CliRunner().invoke(main, ["studio", *words])
    assert said.exit_code == 1
    assert told in said.output


def test_without_gradio_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = CliRunner().invoke(main, ["studio"])
    assert said.exit_code == 1
    assert "pip install" in said.output
    assert "gradio==" in said.output
