"""What a terminal shows of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from marquee.project import Project
from marquee.serving import serve
from marquee.torchserve import server


def test_all_that_is_printed_is_shown_and_its_log_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "CONSOLE_BYTES", 100)
    project = Project(tmp_path, {})
    project.logs.mkdir()
    path, sizes = server.console_log(project), []
    with path.open("a") as java, serve.Terminal(project, None)._watching() as show:
        for number in range(100):
            java.write(f"line {number}\n")
            java.flush()
            show()
            sizes.append(path.stat().st_size)
    assert capsys.readouterr().out.splitlines() == [f"line {number}" for number in range(100)]
    assert max(sizes) <= 100
    assert path.read_text().splitlines()[-1:] in ([], ["line 99"])
