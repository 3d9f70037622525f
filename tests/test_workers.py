"""The tests of the tests: what is run where, and that none starts a server unseen."""

import pytest

from tests.support import ROOT, check_mark
from tests.workers import SHARED, UNLISTED, group


def test_every_file_that_is_listed_is_there() -> None:
    files = [file for listed in SHARED.values() for file in listed]
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_file_that_shares_a_server_is_listed() -> None:
    """Of those that this run has collected."""
    assert sorted(UNLISTED) == [], "list them in SHARED, or each starts a server of its own"


@pytest.mark.parametrize(
    ("nodeid", "together"),
    [
        ("tests/server/test_smoke.py::test_a[tests/front/]", "detectors"),
        ("tests/deploy/local/test_gateway.py::test_b", "cloud"),
        ("tests/deploy/test_smoke.py::test_c", "tests/deploy/test_smoke.py"),
    ],
)
def test_what_shares_a_server_goes_together(nodeid: str, together: str) -> None:
    assert group(nodeid) == together


def test_a_test_without_the_mark_starts_no_server() -> None:
    with pytest.raises(AssertionError, match=r"mark it with @pytest\.mark\.server"):
        check_mark()
