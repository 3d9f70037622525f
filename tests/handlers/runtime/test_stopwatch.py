import time

import pytest

from handlers.runtime.stopwatch import STAGES, Stopwatch, shared_stage


def test_an_inner_stage_is_not_counted_twice() -> None:
    watch = Stopwatch()
    with watch.stage("preprocess"):
        time.sleep(0.02)
        with watch.stage("decode"):
            time.sleep(0.05)
    assert watch.seconds["decode"] >= 0.05
    assert 0.02 <= watch.seconds["preprocess"] < watch.seconds["decode"]


def test_a_stage_that_fails_is_counted() -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.stage("model"):
        time.sleep(0.01)
        _ = 1 / 0
    assert watch.seconds["model"] >= 0.01


def test_a_shared_stage_is_waited_for_by_each_and_spent_once() -> None:
    watches = [Stopwatch(), Stopwatch()]
    with shared_stage("model", watches):
        time.sleep(0.01)
    assert [one.seconds["model"] >= 0.01 for one in watches] == [True, True]
    assert sum(one.share("model") for one in watches) == watches[0].seconds["model"]


def test_the_header_names_all_stages() -> None:
    assert Stopwatch().server_timing() == ", ".join(f"{name};dur=0.00" for name in STAGES)
