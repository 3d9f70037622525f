"""What config/front.yaml may say, and what HAProxy is told of it."""

import json
from pathlib import Path

import pytest
import yaml

from marquee.errors import MarqueeError
from marquee.front import config, settings
from marquee.front.process import check
from marquee.front.settings import FrontSettings
from marquee.project import Project
from tests.support import ROOT, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def write(project: Project, text: str) -> None:
    (project.root / "config" / "front.yaml").write_text(text)


def made(tmp_path: Path, **more: object) -> FrontSettings:
    folder = tmp_path / "front"
    keys = tmp_path / "key_file.json"
    keys.write_text(json.dumps({"inference": {"key": "one"}, "management": {"key": "two"}}))
    whole = {"inference": "http://127.0.0.1:8080", "management": "http://127.0.0.1:8081"} | more
    return FrontSettings(folder=folder, key_file=keys, **whole)  # type: ignore[arg-type]


def test_the_file_that_is_shipped_says_the_defaults(project: Project) -> None:
    found = settings.read(project)
    (project.root / "config" / "front.yaml").unlink()
    assert settings.read(project) == found
    assert found.inference == "http://127.0.0.1:8080"


def test_every_setting_is_in_the_file_that_is_shipped() -> None:
    text = (ROOT / "config" / "front.yaml").read_text()
    assert not [name for name in settings.FROM_FILE if f"{name}:" not in text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: red", "unknown setting 'colour'"),
        ("request_timeout: -1", "request_timeout is -1, expected seconds"),
        ("request_timeout: true", "request_timeout is True"),
        ("request_timeout: 1.5", "request_timeout is 1.5"),
        ("default_model: 3", "default_model is 3, expected a text"),
        ("api_key_file: nowhere", "there is no such file"),
        ("sticky_header: 'a b'", "expected the name of a request header"),
        ("allowed_origins: 3", "allowed_origins is 3, expected a text or a list"),
        ("allowed_origins: [https://a.example/]", "which is no origin"),
        ("[", "is not valid YAML"),
        ("hello", "must hold lines"),
    ],
)
def test_a_setting_that_cannot_be_is_told(project: Project, text: str, said: str) -> None:
    write(project, text)
    with pytest.raises(MarqueeError, match=said.replace("(", ".")):
        settings.read(project)


def test_origins_are_those_of_the_file_else_torchserves_own(project: Project) -> None:
    path = project.root / "config.properties"
    path.write_text(path.read_text() + "\ncors_allowed_origin=https://a.example\n")
    write(project, "")
    assert settings.read(Project(project.root)).allowed_origins == ("https://a.example",)
    write(project, "allowed_origins: [https://b.example, http://localhost:3000]")
    found = settings.read(Project(project.root)).allowed_origins
    assert found == ("https://b.example", "http://localhost:3000")


def test_tls_needs_a_certificate(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", "https://127.0.0.1:8443")
    with pytest.raises(MarqueeError, match="no tls_certificate is set"):
        settings.read(project)


def test_torchserve_must_read_variables(project: Project) -> None:
    path = project.root / "config.properties"
    path.write_text(path.read_text().replace("enable_envvars_config=true", ""))
    with pytest.raises(MarqueeError, match="enable_envvars_config=true"):
        settings.read(Project(project.root))


@pytest.mark.parametrize(
    ("key", "mode", "said"),
    [("a" * 20, 0o644, "chmod 600"), ("short", 0o600, "at least 16"), ("a b" * 9, 0o600, "spaces")],
)
def test_an_unsafe_api_key_is_refused(tmp_path: Path, key: str, mode: int, said: str) -> None:
    path = tmp_path / "key"
    path.write_text(key)
    path.chmod(mode)
    with pytest.raises(MarqueeError, match=said):
        made(tmp_path, api_key_file=path).api_key()


def test_keys_are_written_as_digests_that_nobody_else_reads(tmp_path: Path) -> None:
    config.write(made(tmp_path))
    folder = tmp_path / "front"
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        assert "Bearer one" not in path.read_text()
    assert len((folder / "inference.keys").read_text()) == 65
    assert (folder / "inference.keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("haproxy")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"management": None, "key_file": None},
        {"inference": "http://[::1]:8080", "sticky_header": "X-User"},
        {"inference": "http://0.0.0.0:8080", "default_model": "cifar", "ping_fields": {"data": 1}},
    ],
)
def test_haproxy_takes_what_is_written(tmp_path: Path, more: dict[str, object]) -> None:
    keys = {"key_file": None} if "key_file" in more else {}
    found = made(tmp_path, **{k: v for k, v in more.items() if k != "key_file"})
    if keys:
        found = FrontSettings(found.folder, found.inference, None, None)
    config.write(found)
    check(found.folder)


def test_errors_are_json_without_single_quotes() -> None:
    text = config.error(400, "BadRequestException", "it's wrong")
    assert "'" not in text
    assert json.loads(text) == {"code": 400, "type": "BadRequestException", "message": "it's wrong"}


def test_the_shipped_file_is_yaml() -> None:
    assert isinstance(yaml.safe_load((ROOT / "config" / "front.yaml").read_text()), dict)
