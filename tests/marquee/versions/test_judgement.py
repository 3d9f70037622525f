"""When live traffic sends a new version back."""

import pytest

from marquee.versions.judgement import Options, worse
from marquee.versions.probe import Latency
from marquee.versions.traffic import Seen


def seen(requests: int, failed: int = 0, ms: int = 10, refused: int = 0) -> Seen:
    return Seen([ms] * requests, failed, refused)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (seen(1000), seen(100, failed=2), None),  # too few to tell
        (seen(1000), seen(1000, failed=9), None),  # within the margin of 1 %
        (seen(1000), seen(100, failed=3), "3 of 100 requests failed"),
        (seen(1000, failed=300), seen(1000, failed=300), None),  # as bad as before
        (seen(0), seen(10, failed=10), "10 of 10"),
        (seen(100), seen(100, ms=30), None),  # slower, by less than the floor
        (seen(100), seen(100, ms=36), "requests take 36 ms"),
        (seen(100, ms=100), seen(100, ms=299), None),  # within three times
        (seen(100), seen(49, ms=900), None),  # too few to tell
        (seen(19), seen(100, ms=900), None),
        (seen(40), seen(40, refused=3), None),  # bad uploads are the clients' own
        (seen(1000), seen(1000, refused=900), None),
    ],
)
def test_what_is_worse(before: Seen, after: Seen, words: str | None) -> None:
    found = worse(before, after, Options())
    assert (found is None) if words is None else words in str(found)


@pytest.mark.parametrize(
    ("before", "after", "suspected"),
    [
        (seen(100), seen(100, refused=51), True),
        (seen(100), seen(100, refused=50), False),
        (seen(100, refused=40), seen(100, refused=80), False),
        (seen(19), seen(100, refused=100), False),  # too few to tell
        (seen(100), seen(49, refused=49), False),
    ],
)
def test_without_known_answers_a_version_that_refuses_most_is_suspected(
    before: Seen, after: Seen, suspected: bool
) -> None:
    found = worse(before, after, Options(), proven=False)
    assert (found is not None) == suspected
    assert not found or "it refused 51 of 100 requests (51.0%)" in found


@pytest.mark.parametrize(
    ("old", "new", "slow"),
    [(2.0, 26.0, False), (2.0, 28.0, True), (100.0, 299.0, False), (100.0, 301.0, True)],
)
def test_what_is_too_slow(old: float, new: float, slow: bool) -> None:
    assert (Latency(old, new).problem(3.0, 25.0) is not None) == slow


def test_a_version_that_could_not_be_timed_is_not_too_slow() -> None:
    assert Latency(None, 1000.0).problem(3.0, 25.0) is None
