import shutil
import socket
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.properties import ADDRESSES
from marquee.torchserve import preflight, server
from tests.marquee.archives.signing import key_pair
from tests.support import make_project, marquee

Usage = namedtuple("Usage", "total used free")


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        properties = dict.fromkeys(ADDRESSES, f"http://127.0.0.1:{port}")
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
    assert server.running_pid(project) is None
    for content in ("", "1", "999999999", "words"):
        (tmp_path / ".model_server.pid").write_text(content)
        assert server.running_pid(project) is None


@pytest.mark.parametrize("length", [93, 150, 5000])
def test_a_temporary_folder_that_is_too_long_for_sockets_is_refused_at_once(
    tmp_path: Path, length: int
) -> None:
    temp = "/tmp/" + "t" * (length - 5)  # noqa: S108 - never made
    said = marquee(make_project(tmp_path / "project"), "serve", TEMP=temp)
    assert said.returncode == 1
    assert f"has a path of {length} bytes, expected at most 92" in said.stderr
    assert "set TEMP to a shorter one" in said.stderr
    assert not Path(temp[:200]).exists()


@pytest.mark.parametrize("name", ADDRESSES)
def test_ipv6_needs_the_front_door(name: str) -> None:
    properties = dict.fromkeys(ADDRESSES, "http://127.0.0.1:1") | {name: "http://[::1]:8080"}
    with pytest.raises(MarqueeError, match=f"{name} .*IPv6.*TS_{name.upper()}"):
        preflight.check_families(properties, front=False)
    if name == "metrics_address":
        with pytest.raises(MarqueeError, match="IPv6"):
            preflight.check_families(properties, front=True)
    else:
        preflight.check_families(properties, front=True)


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in ("handler.py", *names):
            made.writestr(name, "")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "config.properties").write_text("enable_envvars_config=true\n")
    return Project(tmp_path)


def test_an_envelope_is_for_handlers_of_others(project: Project, tmp_path: Path) -> None:
    project = replace(project, environ={"TS_SERVICE_ENVELOPE": "json"})
    theirs = archive(tmp_path / "theirs.mar")
    ours = archive(tmp_path / "ours.mar", preflight.OURS)
    folder = tmp_path / "model-1.0.mar"
    (folder / preflight.OURS).parent.mkdir(parents=True)
    (folder / preflight.OURS).touch()
    preflight.check_envelope(project, [theirs])
    with pytest.raises(MarqueeError, match=r"ours.mar, model-1.0.mar take .*unset it"):
        preflight.check_envelope(project, [theirs, ours, folder])


def test_without_an_envelope_nothing_is_looked_into(project: Project, tmp_path: Path) -> None:
    preflight.check_envelope(project, [tmp_path / "missing.mar"])


def test_the_marker_is_in_every_archive_of_ours() -> None:
    root = Path(__file__).parents[3]
    assert (root / preflight.OURS).is_file()


def test_urls_that_torchserve_would_fetch_itself_do_not_go_with_trusted_keys(
    tmp_path: Path,
) -> None:
    project, (_, public) = make_project(tmp_path / "project"), key_pair(tmp_path)
    config = project.root / "config.properties"
    text = config.read_text().replace("allowed_urls=none", "allowed_urls=https://example[.]org/.*")
    config.write_text(text)
    preflight.check_trust(Project(project.root))
    config.write_text(text.replace("marquee.trust=", f"marquee.trust={public}"))
    with pytest.raises(MarqueeError, match="set allowed_urls=none"):
        preflight.check_trust(Project(project.root))
