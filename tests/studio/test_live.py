"""What clients met, read from the access log by version and time."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from marquee.project import Project
from marquee.studio.live import BIN_SECONDS, WINDOW_SECONDS, LiveTraffic, Point, default_at
from marquee.torchserve.inference import OWN_MARK
from marquee.versions.history import Record

NOW = 1_800_000_000.0  # at the beginning of a stretch


def line(ago: float, path: str, status: int = 200, ms: int = 5) -> str:
    """Return the line of a request that ended so many seconds ago."""
    time = datetime.fromtimestamp(NOW - ago).isoformat(timespec="milliseconds")
    return f'{time.replace(".", ",")} /127.0.0.1:1 "POST {path} HTTP/1.1" {status} {ms}\n'


def traffic_of(folder: Path, *lines: str) -> LiveTraffic:
    (folder / "access_log.log").write_text("".join(lines))
    return LiveTraffic(Project(folder, {"LOG_LOCATION": str(folder)}))


def points(traffic: LiveTraffic, version: str) -> list[Point]:
    """Return where something was answered."""
    return [one for one in traffic.points("cifar", version, now=NOW) if one.rate]


def read(traffic: LiveTraffic, default: str = "2.0") -> None:
    known = {"cifar": lambda _moment: default}
    traffic.read(known.get, NOW)


def test_requests_are_told_apart_by_version_and_time(tmp_path: Path) -> None:
    traffic = traffic_of(
        tmp_path,
        line(12, "/predictions/cifar", ms=10),
        line(11.9, "/predictions/cifar", ms=30),
        line(2, "/predictions/cifar", 503),
        line(2, "/predictions/cifar/1.0", 400, 7),
        line(2, "/predictions/other"),
    )
    read(traffic)
    assert traffic.versions("cifar") == ["1.0", "2.0"]
    rate, failed = 1 / BIN_SECONDS, 1 / BIN_SECONDS
    assert points(traffic, "2.0") == [
        Point(2 * BIN_SECONDS, 2 * rate, 0, 10, 30),
        Point(0, rate, failed, 5, 5),
    ]
    assert points(traffic, "1.0") == [Point(0, rate, 0, 7, 7)]
    assert len(traffic.points("cifar", "1.0", now=NOW)) == WINDOW_SECONDS / BIN_SECONDS


def test_what_marquee_asks_explanations_and_what_is_long_ago_are_left_out(tmp_path: Path) -> None:
    traffic = traffic_of(
        tmp_path,
        line(WINDOW_SECONDS + BIN_SECONDS + 1, "/predictions/cifar"),
        line(2, f"/predictions/cifar?{OWN_MARK}"),
        line(2, "/explanations/cifar"),
        "no line of a request\n",
    )
    read(traffic)
    assert traffic.versions("cifar") == []


def test_a_log_is_read_on_where_the_last_look_ended(tmp_path: Path) -> None:
    traffic = traffic_of(tmp_path, line(12, "/predictions/cifar"))
    read(traffic)
    with (tmp_path / "access_log.log").open("a") as log:
        log.write(line(2, "/predictions/cifar"))
    read(traffic, default="3.0")
    assert (len(points(traffic, "2.0")), len(points(traffic, "3.0"))) == (1, 1)


def test_a_request_that_names_no_model_is_for_the_only_one(tmp_path: Path) -> None:
    traffic = traffic_of(tmp_path, line(2, "/invocations"))
    traffic.read({"": lambda _moment: "2.0"}.get, NOW)
    assert traffic.versions("cifar") == []
    assert traffic.versions("cifar", alone=True) == ["2.0"]
    assert traffic.points("cifar", "2.0", alone=True, now=NOW)[-1].rate == 1 / BIN_SECONDS


def change(moved: float, old: str, new: str, outcome: str = "done", ended: float = 0) -> Record:
    when = datetime.fromtimestamp(ended, timezone.utc).isoformat()
    step = {"step": "switch", "at": moved - 1, "seconds": 1.0, "said": ""}
    return {"when": when, "from": old, "to": new, "outcome": outcome, "steps": [step]}  # type: ignore[list-item]


def test_who_was_the_default_is_known_from_the_history() -> None:
    records: list[Record] = [
        change(100, "1.0", "2.0"),
        {"when": "1970-01-01T00:02:30+00:00", "outcome": "done", "to": "2.0", "steps": []},
        change(200, "2.0", "3.0", "rolled back", ended=300),
        change(400, "2.0", "4.0"),
    ]
    at = default_at(records, "4.0")
    assert [at(moment) for moment in (50, 150, 250, 350, 450)] == [
        "1.0",
        "2.0",
        "3.0",
        "2.0",
        "4.0",
    ]
