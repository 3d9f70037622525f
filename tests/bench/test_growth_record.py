"""How values are named, and what is kept of a record."""

from pathlib import Path

import pytest

from bench.growth_record import Point, kept, render, short, write

POINT = Point("clients", 8, "marquee", 332.0, 20.0, 41.0, 5.4, 600, 0.02)


@pytest.mark.parametrize(
    ("value", "text"), [(8, "8"), (10_000, "10 k"), (2_073_600, "2.07 M"), (10**8, "100 M")]
)
def test_values_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_axes_that_are_measured_again_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "growth.json"
    assert kept(path, ["clients"]) == []
    other = Point("batch", 4, "marquee", 400.0, 10.0, 20.0, 2.0, 600, 0.0)
    write([POINT, other], {"cores": "2"}, path)
    assert kept(path, ["clients"]) == [other]
    assert path.with_suffix(".svg").read_text().startswith("<?xml")


def test_an_axis_without_points_has_no_table() -> None:
    page = render([POINT], {"cores": "2"})
    assert "| 8 | marquee | 332 | 20 / 41 | 5.4 | 600 | 0 | 2 % |" in page
    assert "batchSize, 64 clients | " not in page
