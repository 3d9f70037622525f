"""A log on a full disk: said once, and written again when there is room."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from marquee.serving.logfile import log_file


def test_a_full_disk_is_told_once_until_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs" / "front.log"
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    log = log_file(path)
    for _ in range(3):
        log.info("%s", "lost")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"{path} cannot be written (No space left on device)")

    (handler,) = log.handlers
    assert isinstance(handler, logging.FileHandler)
    assert handler.stream is not None
    with (tmp_path / "room").open("wb") as room:
        os.dup2(room.fileno(), handler.stream.fileno())
    log.info("%s", "kept")
    assert (tmp_path / "room").read_text().endswith("kept\n")
    assert capsys.readouterr().err == ""
    handler.close()
