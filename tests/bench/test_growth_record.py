"""How values are named, and what is kept of a record."""

from dataclasses import replace
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
    machine = {"cores": "2", "commit": "one"}
    assert kept(path, machine, ["clients"]) == []
    other = Point("batch", 4, "marquee", 400.0, 10.0, 20.0, 2.0, 600, 0.0)
    write([POINT, other], machine, path)
    assert kept(path, {"cores": "2", "commit": "two"}, ["clients"]) == [other]
    assert kept(path, machine, []) == [POINT, other]
    assert path.with_suffix(".svg").read_text().startswith("<?xml")


def test_points_of_another_machine_do_not_go_on_one_page(tmp_path: Path) -> None:
    path = tmp_path / "growth.json"
    write([POINT], {"cores": "2"}, path)
    with pytest.raises(SystemExit, match="with cores 2, this is 4: one page cannot show both"):
        kept(path, {"cores": "4"}, [])
    assert kept(path, {"cores": "4"}, ["clients"]) == []


def test_rounds_of_one_value_are_a_line_of_medians() -> None:
    again = [replace(POINT, rate=rate, p50_ms=ms) for rate, ms in ((300.0, 30.0), (400.0, 10.0))]
    page = render([POINT, replace(POINT, series="other"), *again], {"cores": "2"})
    assert "| 8 | marquee | 332 ±15 % | 20 / 41 | 5.4 | 600 | 0 | 2 % |" in page
    assert page.count("| 8 | other | 332 ±0 %") == 1


def test_an_axis_without_points_has_no_table() -> None:
    page = render([POINT], {"cores": "2"})
    assert "| 8 | marquee | 332 ±0 % | 20 / 41 | 5.4 | 600 | 0 | 2 % |" in page
    assert "batchSize, 64 clients | " not in page
