"""What a page sends is checked before anything is begun."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from marquee.errors import MarqueeError
from marquee.front import requestlog
from marquee.project import Project
from marquee.studio import actions, tables
from tests.support import make_project

SWAP: dict[str, Any] = {"watch": 1, "slowdown": 3, "keep": False}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def test_no_path_and_no_address_comes_from_a_page(project: Project) -> None:
    for target in ("/etc/passwd", "https://example.org/a.mar", "../a.mar", None):
        with pytest.raises(MarqueeError, match="choose a version of cifar first"):
            actions.swap(project, "cifar", target, **SWAP)


def test_a_model_has_to_be_chosen(project: Project) -> None:
    with pytest.raises(MarqueeError, match="choose a model first"):
        actions.rollback(project, None, watch=1, keep=False)


@pytest.mark.parametrize("workers", [-1, 1.5, 5000, None, "2", math.nan])
def test_workers_are_a_whole_number(project: Project, workers: Any) -> None:
    with pytest.raises(MarqueeError, match="number"):
        actions.scale(project, "cifar", "", workers=workers, force=False)


@pytest.mark.parametrize("watch", [-1, None, 1e9, math.nan])
def test_how_long_is_watched_has_bounds(project: Project, watch: Any) -> None:
    with pytest.raises(MarqueeError, match="how long live traffic is watched is"):
        actions.rollback(project, "cifar", watch=watch, keep=False)


def test_a_request_that_nobody_knows_is_a_sentence(project: Project) -> None:
    project.logs.mkdir()
    (project.logs / "access_log.log").touch()
    with pytest.raises(MarqueeError, match="no line of a request 'abc'"):
        actions.log_of(project, " abc ")
    with pytest.raises(MarqueeError, match="paste the x-request-id"):
        actions.log_of(project, "  ")


def test_the_door_knows_a_request_by_both_its_ids(tmp_path: Path) -> None:
    (tmp_path / requestlog.FILE).write_text(
        '[NOTICE] a says\n{"id":"a","server_id":"b","model":"m"}\n{"id":"aa"}\n["a"]\n'
    )
    for wanted in ("a", "b"):
        assert [one["model"] for one in requestlog.entries(tmp_path, wanted)] == ["m"]
    assert requestlog.entries(tmp_path, "c") == []


def test_what_others_wrote_is_escaped() -> None:
    page = tables.table("<i>", ["A"], [["<script>alert(1)</script>"]])
    assert "<script>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page
