"""Which settings are tried, and which of them is found."""

from collections.abc import Callable

from marquee.tuning.climb import Space, climb, doubling
from marquee.tuning.setting import Setting

SPACE = Space(cores=8, workers=8, clients=32)


class Judge:
    """Finds a setting better when its worth is higher, and remembers what it was asked."""

    def __init__(self, worth: Callable[[Setting], float]) -> None:
        self._worth = worth
        self.asked: list[Setting] = []

    def __call__(self, challenger: Setting, best: Setting) -> bool:
        self.asked.append(challenger)
        return self._worth(challenger) > self._worth(best)


def test_doubling_ends_with_the_most() -> None:
    assert doubling(1) == [1]
    assert doubling(2) == [1, 2]
    assert doubling(6) == [1, 2, 4, 6]


def test_the_best_is_found_one_number_after_the_other() -> None:
    wanted = Setting(workers=4, threads=2, batch=16, delay=1)

    def worth(one: Setting) -> float:
        off = abs(one.workers - 4) + abs(one.threads - 2) + abs(one.batch - 16) + abs(one.delay - 1)
        return -float(off)

    judge = Judge(worth)
    assert climb(Setting(workers=1, threads=1, batch=4, delay=1), SPACE, judge) == wanted
    product = 4 * 4 * 6 * 6
    assert len(judge.asked) < product / 20


def test_no_setting_is_tried_twice_and_the_first_never() -> None:
    judge = Judge(lambda one: one.batch + one.threads - abs(one.workers - 2))
    start = Setting(workers=2, threads=1, batch=1)
    climb(start, SPACE, judge)
    assert start not in judge.asked
    assert len(set(judge.asked)) == len(judge.asked)


def test_a_way_is_left_at_the_first_that_is_no_better() -> None:
    judge = Judge(lambda one: 0.0)
    start = Setting(workers=1, threads=2, batch=8, delay=1)
    assert climb(start, SPACE, judge) == start
    assert [one.batch for one in judge.asked if one.batch != 8] == [16, 4]
    assert [one.threads for one in judge.asked if one.threads != 2] == [4, 1]


def test_the_other_way_is_not_tried_where_one_was_good() -> None:
    judge = Judge(lambda one: one.batch)
    climb(Setting(batch=8), Space(cores=1, workers=1, clients=16), judge)
    assert [one.batch for one in judge.asked if one.batch < 8] == []


def test_threads_that_workers_choose_are_tried_from_both_ends() -> None:
    judge = Judge(lambda one: 0.0)
    climb(Setting(threads=0), SPACE, judge)
    assert [one.threads for one in judge.asked if one.threads] == [1, 8]


def test_workers_share_the_cores() -> None:
    judge = Judge(lambda one: one.workers)
    found = climb(Setting(workers=1, threads=8), SPACE, judge)
    assert found.workers == 8
    assert all(one.workers * one.threads <= 8 for one in judge.asked)


def test_no_batch_is_larger_than_there_are_clients() -> None:
    judge = Judge(lambda one: one.batch)
    assert climb(Setting(batch=1), Space(cores=1, workers=1, clients=8), judge).batch == 8


def test_batches_of_one_have_no_delay() -> None:
    judge = Judge(lambda one: -one.batch)
    assert climb(Setting(batch=2, delay=20), SPACE, judge) == Setting(batch=1, delay=1)


def test_no_more_workers_than_there_is_memory_for() -> None:
    judge = Judge(lambda one: one.workers)
    assert climb(Setting(), Space(cores=8, workers=2, clients=8), judge).workers == 2


def test_number_formats_are_tried_only_where_wanted() -> None:
    judge = Judge(lambda one: 0.0)
    climb(Setting(), SPACE, judge)
    assert {one.precision for one in judge.asked} == {"fp32"}
    climb(Setting(), Space(cores=8, workers=1, clients=8, precisions=("bf16",)), judge)
    assert "bf16" in {one.precision for one in judge.asked}
