"""How long is measured, and what is said of it."""

import math

from marquee.tuning.duel import schedule_for
from marquee.tuning.report import Trial, agreement
from marquee.tuning.setting import Setting
from tests.marquee.tuning.test_plot import report


def test_a_quick_model_has_all_clients() -> None:
    schedule = schedule_for(budget=300, clients=32, lone=0.005)
    assert schedule.clients == (1, 8, 32)
    assert schedule.seconds == 1.0
    assert schedule.round == 3.0


def test_a_slow_model_has_fewer_clients_and_more_time() -> None:
    schedule = schedule_for(budget=300, clients=32, lone=5.0)
    assert schedule.clients == (1, 3)
    assert schedule.seconds == 5.0
    assert schedule_for(budget=300, clients=32, lone=60.0).clients == (1, 2)


def test_one_client_is_one() -> None:
    assert schedule_for(budget=10, clients=1, lone=0.005).clients == (1,)


def test_agreement_is_said_in_words() -> None:
    assert agreement(Trial(Setting())) == "as fp32"
    short = Setting(precision="bf16")
    assert agreement(Trial(short, deviation=0.0123)) == "within 0.012 of fp32"
    assert agreement(Trial(short, deviation=math.inf)) == "other answers than fp32"


def test_a_report_for_machines_has_plain_keys_and_no_infinity() -> None:
    made = report()
    made.trials[0].deviation = math.inf
    said = made.plain()
    assert said["changes"] == {"marquee.threads": 1}
    assert said["trials"][0]["deviation"] is None
    assert said["trials"][1]["levels"][1]["p99"] == 33.5
