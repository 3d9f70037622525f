"""The table's cells: medians, spread, ratios by round, and what spoils them."""

from dataclasses import replace

import pytest

from bench.record import Record, Sample
from bench.table import grid, number, quietness, rate, ratio, render, spread, times

SAMPLE = Sample(0, "marquee", "png-1", 100.0, 0.0, 5.0, 9.0, 5.5, 0, 0, 0.02)


def samples(*rates: float, **more: object) -> list[Sample]:
    return [
        replace(SAMPLE, round=turn, rate=each, **more)  # type: ignore[arg-type]
        for turn, each in enumerate(rates)
    ]


def record(*each: list[Sample]) -> Record:
    return Record(
        "vgg11",
        0,
        {"cores": "2"},
        {"torch": "2.14"},
        samples=[one for many in each for one in many],
    )


def test_a_rate_is_a_median_with_its_spread() -> None:
    assert rate(samples(90.0, 100.0, 130.0)) == "100 ±20 %"
    assert rate([]) == "-"


def test_spread_of_nothing_that_moves() -> None:
    assert spread([5.0, 5.0]) == 0.0
    assert spread([0.0, 0.0]) == 0.0


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (12.34, "12.3"), (1234.5, "1234"), (0.0, "0")]
)
def test_numbers_are_as_long_as_they_are_known(value: float, text: str) -> None:
    assert number(value) == text


def test_times_are_medians_over_rounds() -> None:
    slow = replace(SAMPLE, round=1, p50_ms=7.0, p99_ms=200.0)
    assert times([SAMPLE, SAMPLE, slow]) == "5 / 9"


def test_ratios_are_of_the_same_round() -> None:
    """A machine that is twice as fast in the second round changes no ratio."""
    both = record(samples(100.0, 200.0), samples(50.0, 100.0, contender="stock"))
    assert ratio(both, "png-1", lambda each: each.rate, "stock") == "2.00 (2.00 to 2.00)"
    assert ratio(both, "png-8", lambda each: each.rate, "stock") == "-"


def test_a_machine_that_was_busy_is_told() -> None:
    assert "not quiet" in quietness(record(samples(1.0, others=0.5)))
    assert "not quiet" not in quietness(record(samples(1.0, others=0.05)))
    taken = replace(record(samples(1.0, others=0.5)), taken=1)
    assert quietness(taken).startswith("1 of the cores taken on purpose")


def test_a_grid_is_markdown() -> None:
    assert grid(("a", "b"), [["1", "2"]]) == ["| a | b |", "|---|--:|", "| 1 | 2 |"]


def test_the_page_names_wrong_answers_and_who_is_missing() -> None:
    whole = record(samples(100.0), samples(50.0, contender="flask", wrong=3))
    whole.missing = {"pytriton": "its wheel does not run"}
    page = render(whole)
    assert "- **flask**: 3 wrong and 0 failed answers (png-1)" in page
    assert "pytriton is not there: its wheel does not run" in page
    assert "| **marquee** | 100 ±0 % | 5 / 9 | - |" in page


def test_a_page_has_no_table_of_loads_that_nobody_sent() -> None:
    photos = render(
        record(samples(35.0, load="12mp-8"), samples(5.0, load="12mp-8", contender="stock"))
    )
    assert "| answers a second | 12 MP JPEG, 8 | p50 / p99 ms of 12 MP JPEG, 8 | MB |" in photos
    assert "steady rate" not in photos
