"""The table of the models that are served and of the same without a server."""

from __future__ import annotations

from bench.served import Sample, table


def sample(served: float) -> Sample:
    return Sample("smoke-256-npy", 2, 0.3, 0.2, served, 0.4, 0.5, 0.1)


def test_rows_have_the_medians_of_the_rounds_and_their_extremes() -> None:
    page = table({"day": "2026-11-28", "machine": "one core"}, [*map(sample, (0.25, 0.2, 0.4))])
    assert "2026-11-28" in page
    assert "one core." in page
    row = "| smoke-256-npy | 2 | 3 | 0.80 (0.50 to 1.00) | 1.25 | 1.50 | 200 | 250 | 10% |"
    assert row in page.splitlines()
    assert page.count("| smoke") == 1


def test_a_lone_client_has_no_batch() -> None:
    alone = Sample("inkwash-256", 1, 0.2, 0.2, 0.2, 0.4, 0.4, 0.0)
    row = "| inkwash-256 | 1 | 1 | 1.00 (1.00 to 1.00) | 1.00 | - | 200 | 200 | 0% |"
    assert row in table({"day": "today", "machine": "one core"}, [alone]).splitlines()
