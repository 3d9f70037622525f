"""What the log lines add up to, and when a canary is worse than it may be."""

import json

import pytest

from marquee.front.traffic import Summary, Traffic, percentile
from marquee.versions.canaries import Limits
from marquee.versions.canary import verdict


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


def test_counts_start_anew() -> None:
    traffic = Traffic()
    traffic.add(line("default"))
    traffic.reset("m")
    assert traffic.summary("m").requests == 0


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.1, 1), (1.0, 10)])
def test_percentiles_by_nearest_rank(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(1, 11)], share) == value


def side(recent: int = 200, rate: float = 0.0, p95: float | None = 100.0) -> Summary:
    return Summary(recent, round(recent * rate), recent, rate, p95, p95)


@pytest.mark.parametrize(
    ("default", "canary", "said"),
    [
        (side(), side(), None),
        (side(), side(rate=0.04), None),
        (side(), side(rate=0.06), "error rate is 6.0% of 200 requests"),
        (side(rate=0.1), side(rate=0.14), None),
        (side(), side(recent=19, rate=1), None),
        (side(), side(recent=20, rate=1, p95=None), "error rate"),
        (side(), side(p95=149), None),
        (side(), side(p95=151), "p95 is 151 ms, the default version's 100 ms"),
        (side(p95=4), side(p95=23), None),
        (side(p95=4), side(p95=25), "p95"),
        (side(), side(recent=99, p95=900), None),
        (side(recent=99), side(p95=900), None),
    ],
)
def test_the_verdict(default: Summary, canary: Summary, said: str | None) -> None:
    found = verdict(default, canary, Limits())
    assert found is None if said is None else said in (found or "")
