"""Percentiles, levels, and which of two settings is better."""

import math

import pytest

from marquee.tuning.figures import Round, advantage, levels, percentile, served, settled, steady


def rounds(clients: int, rate: float, latency: float, count: int = 100) -> Round:
    return Round(clients, count / rate, (latency,) * count)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.99) == 7
    assert percentile([1.0, 2.0], 0.5) == 1


def test_a_level_has_the_median_rate_and_all_latencies() -> None:
    slow = Round(1, 1.0, (0.5,))
    fast = Round(1, 1.0, (0.001,) * 10)
    usual = Round(1, 1.0, (0.002,) * 4)
    (level,) = levels([slow, fast, usual])
    assert level.rate == 4
    assert level.answers == 15
    assert level.p50 == pytest.approx(1.0)
    assert level.p99 == pytest.approx(500.0)


def test_levels_go_from_the_fewest_clients_on() -> None:
    assert [one.clients for one in levels([rounds(8, 1, 1), rounds(1, 1, 1)])] == [1, 8]


def test_the_most_requests_within_the_target_count() -> None:
    measured = levels([rounds(1, 100, 0.01), rounds(8, 300, 0.03), rounds(32, 400, 0.1)])
    for target, clients in ((None, 32), (100.0, 32), (99.0, 8), (10.0, 1)):
        found = served(measured, target)
        assert found is not None
        assert found.clients == clients
    assert served(measured, 9.9) is None


def test_the_advantage_is_that_of_the_rates() -> None:
    assert advantage([rounds(8, 300, 0.1)], [rounds(8, 200, 0.1)], None) == pytest.approx(1.5)


def test_who_keeps_the_target_wins() -> None:
    slow_but_prompt, fast = [rounds(8, 100, 0.01)], [rounds(8, 300, 0.1)]
    assert advantage(slow_but_prompt, fast, 20.0) == math.inf
    assert advantage(fast, slow_but_prompt, 20.0) == 0.0
    assert advantage(fast, slow_but_prompt, None) == pytest.approx(3.0)


def test_where_none_keeps_the_target_the_nearer_wins() -> None:
    new, old = [rounds(1, 1, 0.02), rounds(8, 9, 0.5)], [rounds(1, 1, 0.03), rounds(8, 1, 0.4)]
    assert advantage(new, old, 1.0) == pytest.approx(1.5)


def test_a_setting_must_be_better_in_each_round() -> None:
    old = [rounds(8, 100, 0.1), rounds(8, 100, 0.1), rounds(8, 100, 0.1)]
    assert steady([rounds(8, 101, 0.1), rounds(8, 140, 0.1), rounds(8, 120, 0.1)], old, None)
    lucky = [rounds(8, 180, 0.1), rounds(8, 140, 0.1), rounds(8, 99, 0.1)]
    assert advantage(lucky, old, None) == pytest.approx(1.4)
    assert not steady(lucky, old, None)
    assert steady(lucky, old, 1.0)  # none is within it: rates say nothing


def test_what_is_clear_needs_no_further_round() -> None:
    assert settled(0.5, 1)
    assert settled(math.inf, 2)
    assert not settled(1.5, 1)  # one lucky round
    assert not settled(1.0, 2)
