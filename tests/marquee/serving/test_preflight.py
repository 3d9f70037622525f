import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.serving import preflight
from tests.support import make_project, marquee

Usage = namedtuple("Usage", "total used free")


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        properties = dict.fromkeys(preflight.ADDRESSES, f"http://127.0.0.1:{port}")
        with pytest.raises(MarqueeError, match=f"port {port} .*TS_INFERENCE_ADDRESS"):
            preflight.check_ports(properties)
        with pytest.raises(MarqueeError, match="or set MY_INFERENCE_ADDRESS to another"):
            preflight.check_ports(properties, lambda name: f"MY_{name.upper()}")


def test_a_missing_archive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMP", str(tmp_path / "temp"))
    project = make_project(tmp_path / "project", "cifar")
    said = marquee(
        project, "serve", TEMP=str(tmp_path / "temp"), TS_INFERENCE_ADDRESS="http://127.0.0.1:0"
    )
    assert said.returncode == 1
    assert "lacks cifar-1.0.mar, cifar-2.0.mar; build it: make archive" in said.stderr


def test_a_full_disk_is_found_before_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMP", str(tmp_path / "temp"))
    project = make_project(tmp_path / "project")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 90, 10 << 20))
    with pytest.raises(MarqueeError, match="has 10 MB free, .* takes 256 MB.*TEMP"):
        preflight.check_disk(project)


def test_a_stale_pid_file_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMP", str(tmp_path))
    project = Project(tmp_path)
    assert preflight.running_pid(project) is None
    for content in ("", "1", "999999999", "words"):
        (tmp_path / ".model_server.pid").write_text(content)
        assert preflight.running_pid(project) is None
