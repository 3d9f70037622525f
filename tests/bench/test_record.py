"""Rounds of several runs are one record."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.record import Record, Sample

SAMPLE = Sample(0, "marquee", "png-1", 100.0, 0.0, 5.0, 9.0, 5.5, 0, 0, 0.02)


def record(*rounds: int, **more: object) -> Record:
    made = Record("vgg11", 0, {"cores": "2"}, {"torch": "2.14"}, days=["2026-11-28"])
    made.samples = [replace(SAMPLE, round=number) for number in rounds]
    return replace(made, **more)  # type: ignore[arg-type]


def test_saved_and_read_again(tmp_path: Path) -> None:
    whole = record(0, 1, missing={"pytriton": "no wheel"}, resident_mb={"marquee": 600.0})
    whole.save(tmp_path / "vgg11.json")
    assert Record.load(tmp_path / "vgg11.json") == whole


def test_rounds_are_counted_on() -> None:
    both = record(0, 1).join(record(0, days=["2026-11-29"]))
    assert [each.round for each in both.of("marquee", "png-1")] == [0, 1, 2]
    assert both.rounds == 3
    assert both.days == ["2026-11-28", "2026-11-29"]


@pytest.mark.parametrize(
    "other",
    [
        {"network": "lenet"},
        {"taken": 1},
        {"versions": {"torch": "2.15"}},
        {"machine": {"cores": "4"}},
    ],
)
def test_what_is_not_comparable_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="append to another file"):
        record(0).join(record(0, **other))
