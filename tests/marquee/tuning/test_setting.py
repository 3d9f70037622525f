"""A setting and the model-config.yaml that has it."""

import pytest
import yaml

from marquee.tuning.setting import Setting, changes, configured, setting_of
from tests.support import ROOT

CONFIG = {"minWorkers": 2, "maxWorkers": 2, "batchSize": 8, "maxBatchDelay": 5, "kept": 9}


def test_a_setting_is_read_from_a_configuration() -> None:
    config = {**CONFIG, "marquee": {"threads": 3, "precision": "bf16"}}
    assert setting_of(config) == Setting(workers=2, threads=3, batch=8, delay=5, precision="bf16")


def test_what_is_not_said_is_torchserves_default() -> None:
    assert setting_of({}) == Setting(workers=1, threads=0, batch=1, delay=100, precision="fp32")


@pytest.mark.parametrize("threads", [0, 4])
def test_a_configuration_with_a_setting_says_it(threads: int) -> None:
    setting = Setting(workers=3, threads=threads, batch=16, delay=2, precision="bf16")
    config = {**CONFIG, "marquee": {"threads": 1, "max_items": 7}}
    made = configured(config, setting)
    assert setting_of(made) == setting
    assert made["maxWorkers"] == 3
    assert made["kept"] == 9
    assert made["marquee"]["max_items"] == 7
    assert config["marquee"] == {"threads": 1, "max_items": 7}


def test_each_room_has_a_setting() -> None:
    for path in (ROOT / "handlers").glob("*/model-config.yaml"):
        config = yaml.safe_load(path.read_text())
        made = setting_of(config)
        assert made.workers >= 1
        assert made.batch == config["batchSize"]


def test_only_what_differs_is_a_change() -> None:
    before = Setting(workers=1, threads=0, batch=8, delay=1)
    after = Setting(workers=2, threads=1, batch=8, delay=1)
    assert changes(before, after) == {
        ("minWorkers",): 2,
        ("maxWorkers",): 2,
        ("marquee", "threads"): 1,
    }
    assert changes(before, before) == {}


def test_a_setting_in_words() -> None:
    assert str(Setting()) == "1 worker, their own threads, no batches, fp32"
    said = str(Setting(workers=2, threads=1, batch=8, delay=5, precision="bf16"))
    assert said == "2 workers, 1 thread each, batches of 8 in 5 ms, bf16"
