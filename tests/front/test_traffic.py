"""What the log lines add up to."""

import json

import pytest

from marquee.front.traffic import NAMES, Summary, Traffic, percentile


def line(arm: str, version: str = "-", status: int = 200, milliseconds: float = 10) -> str:
    entry = {"model": "m", "arm": arm, "version": version, "status": status}
    return json.dumps(entry | {"server_ms": milliseconds})


def test_both_sides_are_counted_apart() -> None:
    traffic = Traffic()
    for number in range(100):
        traffic.add(line("default", milliseconds=number + 1))
    for status in (200, 404, 500, 503, -1):
        traffic.add(line("canary", "2.0", status))
    traffic.add(line("pinned", "2.0", 500))
    default, canary = traffic.summary("m"), traffic.summary("m", "2.0")
    assert (default.requests, default.errors, default.p50, default.p95) == (100, 0, 50, 95)
    assert (canary.requests, canary.errors, canary.error_rate) == (5, 3, 0.6)
    assert (default.refused_rate, canary.refused_rate) == (0, 0.2)


def test_other_lines_are_no_requests() -> None:
    traffic = Traffic()
    for text in ("[NOTICE] reload", "17", line("-"), "{}"):
        traffic.add(text)
    assert traffic.summary("m") == Summary()
    assert traffic.last_success("m") is None


def test_a_success_is_remembered() -> None:
    traffic = Traffic()
    traffic.add(line("pinned", "2.0", 500))
    assert traffic.last_success("m", "2.0") is None
    traffic.add(line("pinned", "2.0"))
    assert traffic.last_success("m", "2.0") is not None
    assert traffic.last_success("m") is None


def test_rates_are_of_the_last_500() -> None:
    traffic = Traffic()
    for _ in range(1000):
        traffic.add(line("canary", "2.0"))
    for _ in range(250):
        traffic.add(line("canary", "2.0", 500))
    found = traffic.summary("m", "2.0")
    assert (found.requests, found.recent, found.error_rate) == (1250, 500, 0.5)


def test_names_that_nobody_has_do_not_fill_the_memory() -> None:
    traffic = Traffic()
    traffic.add(line("default"))
    for number in range(3 * NAMES):
        traffic.add(line("pinned", f"{number}.0", 404))
    assert len(traffic._arms) <= NAMES
    assert traffic.summary("m").requests == 1


def test_counts_start_anew() -> None:
    traffic = Traffic()
    traffic.add(line("default"))
    traffic.reset("m")
    assert traffic.summary("m").requests == 0


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.1, 1), (1.0, 10)])
def test_percentiles_by_nearest_rank(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(1, 11)], share) == value
