import pytest

from handlers.runtime.cores import cores
from handlers.runtime.settings import (
    Settings,
    SettingsError,
    explain_seconds,
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
        ({"device": "cuda"}, "device is 'cuda', expected .*assigned"),
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


def test_explanations_have_less_than_half_of_it() -> None:
    assert explain_seconds(Settings(), {"responseTimeout": 100}) == 25
    assert explain_seconds(Settings(), {"responseTimeout": 3600}) == 120
    assert explain_seconds(Settings(explain_seconds=50), {"responseTimeout": 100}) == 50
    with pytest.raises(SettingsError, match="explain_seconds is 51, expected at most half"):
        explain_seconds(Settings(explain_seconds=51), {"responseTimeout": 100})
