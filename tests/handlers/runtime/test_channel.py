"""Log lines that look like commands to TorchServe, which reads a worker's output for them."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from handlers.runtime.channel import METRICS, enable_log, guard_log, harmless


class Stdout(io.StringIO):
    """Takes what would go to file descriptor 1."""

    def fileno(self) -> int:
        return 1


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stdout]:
    """A worker's log: TorchServe's handler on the root logger, and nothing else."""
    stream = Stdout()
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", "ts/model_service_worker.py", raising=False
    )
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(stream)])
    monkeypatch.setattr(logging.getLogger(), "filters", [])
    metrics = logging.getLogger(METRICS)
    for name in ("handlers", "propagate", "level", "disabled"):
        monkeypatch.setattr(metrics, name, [] if name == "handlers" else getattr(metrics, name))
    level = logging.getLogger().level
    yield stream
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\u0085", "\u2028", "\u2029"])
def test_lines_that_would_be_obeyed_are_marked(end: str) -> None:
    text = f"[METRICS]a{end}b [METRICS]{end}INFO > [PID]7"
    assert harmless(text) == f"| [METRICS]a{end}b [METRICS]{end}| INFO > [PID]7"


def test_measurements_arrive_and_nothing_else_looks_like_one(stdout: Stdout) -> None:
    guard_log()
    guard_log()
    logging.getLogger("a.model").error("[METRICS]no:1")
    logging.getLogger("a.model").error("", exc_info=ValueError("the client said\n[PID]1"))
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger(METRICS).disabled = True  # as a model's own logging configuration does
    enable_log()
    logging.getLogger(METRICS).info("[METRICS]yes:1")
    lines = stdout.getvalue().splitlines()
    assert lines[0] == "| [METRICS]no:1"
    assert "| [PID]1" in lines
    assert [line for line in lines if line.startswith("[")] == ["[METRICS]yes:1"]


def test_torchserves_line_for_every_batch_is_left_out_and_no_other(
    stdout: Stdout,
) -> None:
    logging.getLogger().setLevel(logging.INFO)
    guard_log()
    guard_log()
    assert len(logging.getLogger().filters) == 1
    logging.info("Backend received inference at: %d", 7)
    logging.info("Connection accepted: %s.", "x")
    assert stdout.getvalue().splitlines() == ["Connection accepted: x."]


def test_other_processes_log_as_they_like() -> None:
    before = [*logging.getLogger().handlers]
    guard_log()
    assert logging.getLogger().handlers == before
    assert not logging.getLogger(METRICS).handlers
