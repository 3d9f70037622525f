"""How ``marquee cloud up`` ends when TorchServe does."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deploy.local.up import _watch
from marquee.project import Project


@pytest.mark.parametrize(("left_behind", "status"), [(False, 0), (True, 1)])
def test_who_stops_the_server_takes_its_pid_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_behind: bool, status: int
) -> None:
    monkeypatch.setenv("TEMP", str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "console.log").write_text("Terminating due to no memory\n")
    if left_behind:
        (tmp_path / ".model_server.pid").write_text("999999999")
    said = io.StringIO()
    assert _watch(Project(tmp_path), Console(file=said, width=200)) == status
    assert ("ended by itself: Terminating due to no memory" in said.getvalue()) == left_behind
