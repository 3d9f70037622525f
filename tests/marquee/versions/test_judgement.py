"""When live traffic sends a new version back, or a canary away."""

import pytest

from marquee.front.traffic import Summary
from marquee.versions.judgement import (
    CanaryLimits,
    SwapPolicy,
    worse_than_before,
    worse_than_default,
)
from marquee.versions.probe import Latency
from marquee.versions.traffic import RequestStats


def stats(requests: int, failed: int = 0, ms: int = 10, refused: int = 0) -> RequestStats:
    return RequestStats([ms] * requests, failed, refused)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (stats(1000), stats(100, failed=2), None),  # too few to tell
        (stats(1000), stats(1000, failed=9), None),  # within the margin of 1 %
        (stats(1000), stats(100, failed=3), "3 of 100 requests failed"),
        (stats(1000, failed=300), stats(1000, failed=300), None),  # as bad as before
        (stats(0), stats(10, failed=10), "10 of 10"),
        (stats(100), stats(100, ms=30), None),  # slower, by less than the floor
        (stats(100), stats(100, ms=36), "requests take 36 ms"),
        (stats(100, ms=100), stats(100, ms=299), None),  # within three times
        (stats(100), stats(49, ms=900), None),  # too few to tell
        (stats(19), stats(100, ms=900), None),
        (stats(40), stats(40, refused=3), None),  # bad uploads are the clients' own
        (stats(1000), stats(1000, refused=900), None),
    ],
)
def test_what_is_worse(before: RequestStats, after: RequestStats, words: str | None) -> None:
    problem = worse_than_before(before, after, SwapPolicy())
    assert (problem is None) if words is None else words in str(problem)


@pytest.mark.parametrize(
    ("before", "after", "suspected"),
    [
        (stats(100), stats(100, refused=51), True),
        (stats(100), stats(100, refused=50), False),
        (stats(100, refused=40), stats(100, refused=80), False),
        (stats(19), stats(100, refused=100), False),  # too few to tell
        (stats(100), stats(49, refused=49), False),
    ],
)
def test_without_known_answers_a_version_that_refuses_most_is_suspected(
    before: RequestStats, after: RequestStats, suspected: bool
) -> None:
    problem = worse_than_before(before, after, SwapPolicy(), proven=False)
    assert (problem is not None) == suspected
    assert not problem or "it refused 51 of 100 requests (51.0%)" in problem


@pytest.mark.parametrize(
    ("old", "new", "slow"),
    [(2.0, 26.0, False), (2.0, 28.0, True), (100.0, 299.0, False), (100.0, 301.0, True)],
)
def test_what_is_too_slow(old: float, new: float, slow: bool) -> None:
    assert (Latency(old, new).problem(3.0) is not None) == slow


def test_a_version_that_could_not_be_timed_is_not_too_slow() -> None:
    assert Latency(None, 1000.0).problem(3.0) is None


def side(
    recent: int = 200, rate: float = 0.0, p95: float | None = 100.0, refused: float = 0.0
) -> Summary:
    return Summary(recent, round(recent * rate), recent, rate, p95, p95, refused)


@pytest.mark.parametrize(
    ("default", "canary", "said"),
    [
        (side(), side(), None),
        (side(), side(rate=0.04), None),
        (side(), side(rate=0.06), "error rate is 6.0% of 200 requests"),
        (side(rate=0.1), side(rate=0.14), None),
        (side(), side(recent=19, rate=1), None),
        (side(), side(recent=20, rate=1, p95=None), "error rate"),
        (side(), side(recent=20, rate=0.1), None),  # two failures tell nothing
        (side(), side(recent=20, rate=0.15), "error rate"),
        (side(), side(p95=149), None),
        (side(), side(p95=151), "p95 is 151 ms, the default version's 100 ms"),
        (side(p95=4), side(p95=29), None),  # noise
        (side(p95=4), side(p95=30), "p95"),
        (side(), side(recent=99, p95=900), None),
        (side(recent=99), side(p95=900), None),
    ],
)
def test_when_a_canary_does_worse(default: Summary, canary: Summary, said: str | None) -> None:
    problem = worse_than_default(canary, default, CanaryLimits())
    assert problem is None if said is None else said in (problem or "")


@pytest.mark.parametrize(
    ("default", "canary", "suspected"),
    [
        (side(), side(refused=1), True),
        (side(), side(refused=0.5), False),
        (side(refused=0.4), side(refused=0.8), False),
        (side(), side(recent=19, refused=1), False),  # too few to tell
        (side(recent=19), side(refused=1), False),
    ],
)
def test_without_known_answers_a_canary_that_refuses_most_is_suspected(
    default: Summary, canary: Summary, suspected: bool
) -> None:
    problem = worse_than_default(canary, default, CanaryLimits(), proven=False)
    assert (problem is not None) == suspected
    assert not problem or "it refused 100.0% of 200 requests, the default version 0.0%" in problem
    assert worse_than_default(canary, default, CanaryLimits()) is None
