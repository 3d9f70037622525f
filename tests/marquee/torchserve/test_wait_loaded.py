"""Why a version does not load, told from logs that are written late."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version

DIED = (
    "2026-11-24T17:06:35,573 WARN  W-9004-cifar_7.0 org.pytorch.serve.wlm.BatchAggregator - "
    "Load model failed: cifar, error: Worker died.\n"
)
TRACED = "".join(
    f"2026-11-24T17:06:35,{i} INFO  W-9004-cifar_7.0-stdout {text}\n"
    for i, text in enumerate(
        (
            "Backend worker process died.",
            "Traceback (most recent call last):",
            '  File "a.py", line 1',
            "RuntimeError: the moon",
        )
    )
)


def not_ready(name: str, version: str) -> Version:
    return Version(
        name=name,
        version=version,
        min_workers=1,
        max_workers=1,
        batch_size=1,
        max_batch_delay=1,
        response_timeout=1,
        pending=0,
        queue=1,
        archive="",
        workers=(),
    )


def told(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the error about a version of which no worker ever becomes ready."""
    monkeypatch.setattr(Management, "describe", lambda _, *of: not_ready(*of))
    since = LogMarks(model=0, server=0)
    api = Management("http://127.0.0.1:1", keys=None)
    with api, pytest.raises(MarqueeError) as caught:
        wait_loaded(project, api, "cifar", "7.0", since=since, seconds=20)
    return str(caught.value)


@pytest.fixture
def died(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.logs.mkdir(parents=True)
    (project.logs / "ts_log.log").write_text(DIED)
    return project


def test_a_traceback_that_is_logged_late_is_waited_for(
    died: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = died.logs / "model_log.log"
    late = threading.Timer(1.0, log.write_text, (TRACED,))
    late.start()
    said = told(died, monkeypatch)
    late.join()
    assert "RuntimeError: the moon" in said
    assert "no traceback" not in said


def test_a_killed_worker_is_told_as_such(died: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "its worker died and left no traceback" in told(died, monkeypatch)
