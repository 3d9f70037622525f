import io
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from ts.protocol.otf_message_handler import _retrieve_input_data

from handlers.runtime.cores import cores
from handlers.runtime.device import place
from handlers.runtime.settings import (
    DEFAULT_MAX_RESPONSE,
    Settings,
    SettingsError,
    explain_seconds,
    max_response_size,
    response_timeout,
    take_bodies_as_bytes,
    threads_per_worker,
)


def test_defaults_and_values() -> None:
    assert Settings.from_yaml(None) == Settings.from_yaml({}) == Settings()
    section = {"precision": "bf16", "max_items": 2, "version": "1.0", "options": {"a": 1}}
    assert Settings.from_yaml({"marquee": section}).precision == "bf16"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"presicion": "fp32"}, "presicion is unknown; known are .*precision"),
        ({"precision": "fp8"}, "'fp8'"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"max_items": "3"}, "max_items is '3'"),
        ({"threads": -1}, "threads is -1"),
        ({"threads": True}, "threads is True"),
        ({"max_batch_pixels": 0}, "max_batch_pixels is 0"),
        ({"explain_seconds": -1}, "explain_seconds is -1"),
        ({"options": [1]}, "options"),
    ],
)
def test_a_wrong_setting_is_refused_at_load(section: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.from_yaml({"marquee": section})


def test_workers_share_the_cores() -> None:
    assert threads_per_worker(Settings(threads=3), {"maxWorkers": 9}) == 3
    assert threads_per_worker(Settings(), {}) == cores()
    assert threads_per_worker(Settings(), {"maxWorkers": cores() * 4}) == 1


def test_the_servers_patience_is_known() -> None:
    assert response_timeout({"responseTimeout": 1200}) == 1200
    assert response_timeout({}) == response_timeout(None) == 120


def test_explanations_have_less_than_half_of_it() -> None:
    assert explain_seconds(Settings(), {"responseTimeout": 100}) == 25
    assert explain_seconds(Settings(), {"responseTimeout": 3600}) == 120
    assert explain_seconds(Settings(explain_seconds=50), {"responseTimeout": 100}) == 50
    with pytest.raises(SettingsError, match="explain_seconds is 51, expected at most half"):
        explain_seconds(Settings(explain_seconds=51), {"responseTimeout": 100})


def test_half_precision_is_for_gpus() -> None:
    assert place(None, "fp32").device.type == "cpu"
    with pytest.raises(SettingsError, match="needs a GPU"):
        place(None, "fp16")


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
