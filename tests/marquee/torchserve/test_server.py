from pathlib import Path

import psutil
import pytest

from marquee.project import Project
from marquee.torchserve import loaded, server
from marquee.torchserve.loads import LogMarks


def test_of_unknown_versions_the_highest_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [("a", "9.0"), ("a", "10.0"), ("a", "1.0-beta"), ("b", "1.0")]
    (tmp_path / "handlers").mkdir()
    monkeypatch.setattr(loaded, "models", lambda _: found)
    assert loaded.defaults(Project(tmp_path)) == {"a": "10.0", "b": "1.0"}


def test_who_stops_a_server_takes_its_pid_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMP", str(tmp_path))
    project = Project(tmp_path)
    running = server.Server(project, psutil.Process(), LogMarks(0, 0))
    server.pid_file(project).write_text("1")
    assert not running.end_is_wanted
    monkeypatch.setattr(server.Server, "alive", False)
    monkeypatch.setattr(server, "WANTED_SECONDS", 0.3)
    assert not running.end_is_wanted
    server.pid_file(project).unlink()
    assert running.end_is_wanted


def test_pytorchs_threads_wait_without_spinning_unless_the_user_says_how(tmp_path: Path) -> None:
    assert server.variables(Project(tmp_path, {}))["OMP_WAIT_POLICY"] == "PASSIVE"
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        assert "OMP_WAIT_POLICY" not in server.variables(Project(tmp_path, {name: "1"}))


def test_large_archives_have_their_time_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "config.properties").write_text("model_store=model_store\n")
    project = Project(tmp_path)
    running = server.Server(project, psutil.Process(), LogMarks(0, 0))
    assert running.answer_seconds == server.ANSWER_SECONDS
    project.model_store.mkdir()
    with (project.model_store / "large-1.0.mar").open("wb") as archive:
        archive.truncate(2_000_000_000)
    (project.model_store / "unpacked.mar").mkdir()
    assert running.answer_seconds == server.ANSWER_SECONDS + 100
