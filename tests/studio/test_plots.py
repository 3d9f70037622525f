"""Lines over the last minutes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from marquee.studio.plots import Line, plot


def paths(figure: str) -> list[str]:
    """Return the ways of the lines in the picture, without those of the keys."""
    picture = figure.partition("<div>")[0]
    return re.findall(r'class="mq-way"[^>]* d="([^"]*)"', picture)


def test_a_line_has_gaps_where_nothing_was_answered() -> None:
    line = Line("1.0", [(300, 4), (200, 4), (100, None), (0, 2)])
    (way,) = paths(plot("Times", [line], 300, "ms"))
    assert re.fullmatch(r"M46\.0 \S+h0\.1L\S+ \S+M350\.0 \S+h0\.1", way)


def test_the_last_values_are_read_out_and_names_are_escaped() -> None:
    lines = [Line('<b>"1"', [(0, 12.345)]), Line("2", [(0, None)])]
    figure = plot("Times & more", lines, 300, "ms")
    root = ElementTree.fromstring(figure)  # noqa: S314 - ours
    said = root.find("svg").get("aria-label")  # type: ignore[union-attr]
    assert said == 'Times & more: <b>"1" 12.3 ms, 2 -'
    assert root.find("svg/b") is None


def test_nothing_yet_is_a_picture_too() -> None:
    figure = plot("Times", [], 300, "ms")
    assert "Times: nothing yet" in figure
    assert paths(figure) == []


def test_values_fit_below_a_round_number() -> None:
    texts = re.findall(r">([\d.]+)</text>", plot("Times", [Line("1", [(0, 130)])], 300, "ms"))
    assert texts == ["0", "100", "200"]
