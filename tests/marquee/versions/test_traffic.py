"""Live traffic is read from the access log."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from marquee.project import Project
from marquee.torchserve.inference import OWN_MARK
from marquee.versions.traffic import AccessLog, RequestStats


def line(path: str, status: int = 200, ms: int = 5) -> str:
    """Return the line of a request that ends now."""
    time = (datetime.now() + timedelta(seconds=1)).isoformat(timespec="milliseconds")
    return f'{time.replace(".", ",")} /127.0.0.1:33864 "POST {path} HTTP/1.1" {status} {ms}\n'


def write(folder: Path, *lines: str) -> None:
    with (folder / "access_log.log").open("a") as file:
        file.writelines(lines)


def following(folder: Path) -> AccessLog:
    return AccessLog(Project(folder, {"LOG_LOCATION": str(folder)}), "cifar")


def stats_of(folder: Path, *lines: str) -> RequestStats:
    log = following(folder)
    write(folder, *lines)
    return log.stats()


def test_requests_without_a_version_are_timed_and_their_failures_counted(tmp_path: Path) -> None:
    stats = stats_of(
        tmp_path,
        line("/predictions/cifar", 200, 4),
        line("/predictions/cifar", 500, 8),
        line("/predictions/cifar?x=1", 200, 6),
        line("/predictions/cifar", 415, 6),
        line("/predictions/cifar", 499, 6),
        line("/predictions/cifar2", 500),
        line("/models/cifar", 404),
    )
    assert stats.milliseconds == [4, 8, 6, 6, 6]
    assert (stats.failed, stats.refused) == (1, 2)
    assert stats.median_ms == 6


def test_requests_for_a_version_are_counted_by_it(tmp_path: Path) -> None:
    stats = stats_of(tmp_path, line("/predictions/cifar/1.0"), line("/predictions/cifar/2.0/x"))
    assert stats.pinned == {"1.0": 1, "2.0": 1}


@pytest.mark.parametrize(
    "target",
    [
        "/models/cifar/invoke",
        "/models/cifar/invoke?k=3",
        "/cifar/predict",
        "/v1/models/cifar:predict",
        "/v2/models/cifar/infer",
        "/invocations",
        "/invocations/",
        "/invocations?model_name=cifar",
    ],
)
def test_each_way_to_ask_counts(tmp_path: Path, target: str) -> None:
    stats = stats_of(tmp_path, line(target, 500, 7))
    assert (stats.milliseconds, stats.failed) == ([7], 1)


@pytest.mark.parametrize(
    "target",
    [
        "/cifar/1.0/predict",
        "/invocations?model_name=cifar&model_version=1.0",
        "/explanations/cifar/1.0",
    ],
)
def test_each_way_to_name_a_version_counts(tmp_path: Path, target: str) -> None:
    stats = stats_of(tmp_path, line(target))
    assert (stats.requests, stats.pinned) == (0, {"1.0": 1})


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/invocations", 400),  # several models, and none was named
        ("/invocations?model_name=smoke", 200),
        ("/smoke/predict?like=cifar", 200),
        ("/models/cifar", 200),
        ("/ping", 200),
        ("/explanations/cifar", 200),
        ("//[cifar/predictions/cifar", 200),  # no address at all
        (f"/predictions/cifar/1.0?{OWN_MARK}", 200),  # the front door's probe, a golden request
    ],
)
def test_what_asks_another_model_or_none_does_not_count(
    tmp_path: Path, target: str, status: int
) -> None:
    stats = stats_of(tmp_path, line(target, status))
    assert (stats.requests, stats.pinned) == (0, {})


def test_each_line_is_read_once_and_only_when_whole(tmp_path: Path) -> None:
    write(tmp_path, line("/predictions/cifar"))
    log = following(tmp_path)
    whole = line("/predictions/cifar")
    write(tmp_path, whole[:30])
    assert log.stats().requests == 0
    write(tmp_path, whole[30:])
    assert log.stats().requests == 1
    assert log.stats().requests == 1


def test_a_log_that_was_cut_is_read_from_its_start(tmp_path: Path) -> None:
    write(tmp_path, *[line("/predictions/cifar")] * 3)
    log = following(tmp_path)
    (tmp_path / "access_log.log").write_text(line("/predictions/cifar"))
    assert log.stats().requests == 1


def test_no_log_is_no_traffic(tmp_path: Path) -> None:
    stats = following(tmp_path / "none").stats()
    assert (stats.requests, stats.error_share, stats.median_ms) == (0, 0.0, 0.0)


def test_a_request_that_came_before_does_not_count_when_it_ends(tmp_path: Path) -> None:
    log = following(tmp_path)
    write(tmp_path, *(line(f"/predictions/cifar{of}", ms=45_000) for of in ("/1.0", "")))
    assert log.stats() == RequestStats()
    write(tmp_path, line("/predictions/cifar/1.0", ms=5))
    assert log.stats().pinned == {"1.0": 1}
