import itertools

import pytest

from marquee.archives.manifest import version_order

ASCENDING = [
    *("gpu", "latest", "run-9", "run-10"),
    *("0.9", "1.0.dev1", "1.0rc1", "1.0", "1.0-gpu", "1.0.1", "1.10"),
    *("2.0", "2-nightly-9", "2-nightly-10", "2.0.post1", "9.0", "10.0"),
    *("2024.5.1", "2024.5.1_tuned", "2024.12"),
]


@pytest.mark.parametrize("start", [ASCENDING[::-1], ASCENDING[1::2] + ASCENDING[::2]])
def test_versions_ascend_whatever_order_they_come_in(start: list[str]) -> None:
    assert sorted(start, key=version_order) == ASCENDING


@pytest.mark.parametrize("two", [("1.0", "1.0.0"), ("1", "v1"), ("1.0-rc1", "1.0rc1")])
def test_two_ways_to_write_a_number_keep_one_order(two: tuple[str, str]) -> None:
    assert sorted(two, key=version_order) == sorted([*reversed(two)], key=version_order)


def test_no_two_are_equal() -> None:
    for one, other in itertools.combinations([*ASCENDING, "1.0.0", "1"], 2):
        assert version_order(one) != version_order(other)
