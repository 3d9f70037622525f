"""Percentiles and rates of a load."""

import pytest

from bench.outcome import Outcome, of_seconds, percentile


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([*map(float, range(1, 101))], 0.99, 99.0),
        ([*map(float, range(1, 11))], 0.99, 10.0),
        ([7.0], 0.01, 7.0),
        ([], 0.5, 0.0),
    ],
)
def test_a_percentile_is_a_value_that_was_seen(
    values: list[float], share: float, found: float
) -> None:
    assert percentile(values, share) == found


def test_wrong_and_failed_answers_are_no_throughput() -> None:
    outcome = Outcome(
        requests=100, seconds=2.0, p50_ms=1.0, p99_ms=2.0, wrong=10, failed=30, example=""
    )
    assert outcome.rate == 30.0


def test_seconds_become_milliseconds() -> None:
    outcome = of_seconds([0.001, 0.002, 0.5], 2.0, wrong=0, failed=1)
    assert (outcome.requests, outcome.p50_ms, outcome.p99_ms) == (3, 2.0, 500.0)
    assert outcome.rate == 1.0
