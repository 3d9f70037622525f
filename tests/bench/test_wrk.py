"""What is read of wrk's output, which check.lua's last line ends."""

import pytest

from bench.wrk import parsed

OUTPUT = """Running 2s test @ http://127.0.0.1:8080/predict
  1 threads and 8 connections
{"requests": 664, "seconds": 2.000113, "p50_ms": 23.1, "p99_ms": 40.5, \
"wrong": 1, "failed": 2, "broken": 3, "example": "said 413"}
"""


def test_the_last_line_counts() -> None:
    outcome = parsed(OUTPUT)
    assert (outcome.requests, outcome.p50_ms, outcome.p99_ms) == (664, 23.1, 40.5)
    assert outcome.example == "said 413"


def test_broken_connections_are_failed_requests() -> None:
    outcome = parsed(OUTPUT)
    assert (outcome.wrong, outcome.failed) == (1, 5)
    assert outcome.rate == pytest.approx((664 - 6) / 2.000113)


def test_another_end_is_told() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parsed("Running 2s test\nunable to connect to 127.0.0.1:1 Connection refused\n")
