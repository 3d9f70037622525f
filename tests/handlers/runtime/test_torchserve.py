"""What a worker knows of TorchServe's own settings."""

import io
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from ts.protocol.otf_message_handler import _retrieve_input_data

from handlers.runtime.torchserve import (
    DEFAULT_MAX_RESPONSE,
    max_response_size,
    response_timeout,
    take_bodies_as_bytes,
)


def test_the_servers_patience_is_known() -> None:
    assert response_timeout({"responseTimeout": 1200}) == 1200
    assert response_timeout({}) == response_timeout(None) == 120


@pytest.mark.parametrize(
    ("text", "variable", "expected"),
    [
        ("max_response_size=1000\n", None, 1000),
        ("# max_response_size=1000\n", None, DEFAULT_MAX_RESPONSE),
        ("max_response_size=1000\n", "2000", 1000),
        ("enable_envvars_config=true\nmax_response_size=1000\n", "2000", 2000),
        ("enable_envvars_config=true\n", "2000", 2000),
        ("max_response_size : 1000\n", None, 1000),
        ("max_response_size 1000\n", None, 1000),
        ("!max_response_size=1000\n", None, DEFAULT_MAX_RESPONSE),
        ("# \xe9\nmax_response_size=1000\n", None, 1000),
    ],
)
def test_the_response_limit_is_read_as_the_server_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variable: str | None, expected: int
) -> None:
    path = tmp_path / "config.properties"
    path.write_text(text, encoding="latin-1")
    monkeypatch.setenv("TS_CONFIG_FILE", str(path))
    if variable:
        monkeypatch.setenv("TS_MAX_RESPONSE_SIZE", variable)
    assert max_response_size() == expected


def test_without_a_configuration_the_servers_own_limit_counts() -> None:
    assert "TS_CONFIG_FILE" not in os.environ
    assert max_response_size() == DEFAULT_MAX_RESPONSE


def test_bodies_are_left_as_they_are_in_our_workers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def received() -> object:
        parts = (b"body", b"application/json", b'{"a": NaN}')
        stream = io.BytesIO(b"".join(struct.pack("!i", len(part)) + part for part in parts))
        return _retrieve_input_data(SimpleNamespace(recv=stream.read))["value"]

    monkeypatch.setenv("TS_DECODE_INPUT_REQUEST", "true")  # as the server sets it for all
    assert isinstance(received(), dict)
    take_bodies_as_bytes()
    assert received() == b'{"a": NaN}'
