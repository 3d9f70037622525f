"""What config/front.yaml may say, and what HAProxy is told of it."""

import json
from pathlib import Path

import pytest
import yaml

from marquee.errors import MarqueeError
from marquee.front import config, maps, program, settings
from marquee.front.process import Haproxy
from marquee.front.refusals import Refusal
from marquee.front.settings import FrontFile, FrontSettings
from marquee.project import Project
from scripts import schemas
from tests.support import ROOT, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def write(project: Project, text: str) -> None:
    (project.root / "config" / "front.yaml").write_text(text)


def made(tmp_path: Path, **more: object) -> FrontSettings:
    keys = tmp_path / "key_file.json"
    keys.write_text(json.dumps({"inference": {"key": "one"}, "management": {"key": "two"}}))
    whole = {
        "folder": tmp_path / "front",
        "inference_address": "http://127.0.0.1:8080",
        "management_address": "http://127.0.0.1:8081",
        "key_file": keys,
    } | more
    return FrontSettings(**whole)  # type: ignore[arg-type]


def test_the_file_that_is_shipped_says_the_defaults(project: Project) -> None:
    found = settings.read(project)
    (project.root / "config" / "front.yaml").unlink()
    assert settings.read(project) == found
    assert found.inference_address == "http://127.0.0.1:8080"


def test_every_setting_is_in_the_file_that_is_shipped() -> None:
    text = (ROOT / "config" / "front.yaml").read_text()
    assert not [name for name in FrontFile.model_fields if f"{name}:" not in text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: red", "unknown setting 'colour'"),
        ("request_timeout: -1", "request_timeout is -1, expected whole seconds above 0"),
        ("request_timeout: true", "request_timeout is True"),
        ("request_timeout: 1.5", "request_timeout is 1.5"),
        ("default_model: 3", "default_model is 3, expected the name of a model"),
        ("default_model: 'm; shutdown'", "expected the name of a model"),
        ("probe_interval: .nan", "probe_interval is nan, expected seconds above 0"),
        ("client_timeout: 2147484", "at most 2147483"),
        ("api_key_file: nowhere", "there is no such file"),
        ("sticky_header: 'a b'", "expected the name of a request header"),
        ("max_request_sizes: {m: 0}", "max_request_sizes is 0, expected names of models"),
        ("max_request_sizes: {m: 1.5}", "max_request_sizes is 1.5"),
        ("max_request_sizes: {'m; shutdown': 1}", "max_request_sizes is 'm; shutdown', expected"),
        ("max_request_sizes: 3", "max_request_sizes is 3, expected names of models"),
        ("allowed_origins: 3", "allowed_origins is 3, expected a text or a list"),
        ("allowed_origins: [https://a.example/]", "which is no origin"),
        ("[", "is not valid YAML"),
        ("[" * 600, "is not valid YAML: its brackets are more than 32 deep"),
        ("drain_timeout: " + "9" * 5000, "is not valid YAML"),
        ("default_model: 2024-13-45", "is not valid YAML: month must be in 1..12"),
        ("hello", "must hold lines"),
    ],
)
def test_a_setting_that_cannot_be_is_told(project: Project, text: str, said: str) -> None:
    write(project, text)
    with pytest.raises(MarqueeError, match=said.replace("(", ".")):
        settings.read(project)


def test_settings_that_are_no_utf_8_are_told(project: Project) -> None:
    (project.root / "config" / "front.yaml").write_bytes(b"default_model: caf\xe9\n")
    with pytest.raises(MarqueeError, match=r"front\.yaml is not valid YAML"):
        settings.read(project)


def test_origins_are_those_of_the_file_else_torchserves_own(project: Project) -> None:
    path = project.root / "config.properties"
    path.write_text(path.read_text() + "\ncors_allowed_origin=https://a.example\n")
    write(project, "")
    assert settings.read(Project(project.root)).allowed_origins == ("https://a.example",)
    write(project, "allowed_origins: [https://b.example, http://localhost:3000]")
    found = settings.read(Project(project.root)).allowed_origins
    assert found == ("https://b.example", "http://localhost:3000")


def test_an_error_is_one_sentence_that_names_the_file(project: Project) -> None:
    write(project, "request_timeout: soon\nsticky_header: 3")
    with pytest.raises(MarqueeError) as error:
        settings.read(project)
    path = project.root / "config" / "front.yaml"
    assert str(error.value) == (
        f"{path}: request_timeout is 'soon', expected whole seconds above 0, at most 2147483"
    )


def test_files_are_looked_for_from_the_project(project: Project) -> None:
    (project.root / "door.pem").touch()
    write(project, "tls_certificate: door.pem")
    assert settings.read(project).tls_certificate == project.root / "door.pem"


def test_tls_needs_a_certificate(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", "https://127.0.0.1:8443")
    with pytest.raises(MarqueeError, match="no tls_certificate is set"):
        settings.read(Project(project.root))


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
        {"management_address": None, "key_file": None},
        {"management_address": None, "key_file": None, "open_to_all": True},
        {"management_address": None, "open_to_all": True},
        {"inference_address": "http://[::1]:8080", "sticky_header": "X-User"},
        {
            "inference_address": "http://0.0.0.0:8080",
            "default_model": "cifar",
            "ping_fields": {"data": 1},
        },
    ],
)
def test_haproxy_takes_what_is_written(tmp_path: Path, more: dict[str, object]) -> None:
    found = made(tmp_path, **more)
    config.write(found)
    program.check(Haproxy(found.folder).config)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"inference_address": "http://127.0.0.1:80 tfo:8080"},
            "inference_address is .*, expected http://",
        ),
        (
            {"management_address": "http://h\n:8081"},
            "management_address is 'http://h.n:8081', expected",
        ),
        ({"sticky_header": "X-User) -m found }\n"}, "expected the name of a request header"),
        ({"default_model": "m\nlisted"}, "expected the name of a model"),
        ({"tls_certificate": 'a" b.pem'}, "expected a path without quotes"),
        ({"tls_certificate": "$HOME.pem"}, "expected a path without quotes"),
        ({"folder": "a b"}, "must have a plain path"),
    ],
)
def test_no_value_ends_its_word_or_line(tmp_path: Path, more: dict[str, object], said: str) -> None:
    for name in {"tls_certificate", "folder"} & more.keys():
        more = {name: tmp_path / str(more[name])}
        (tmp_path / str(more[name])).touch()
    with pytest.raises(MarqueeError, match=said):
        made(tmp_path, **more)


def test_what_is_printed_into_the_configuration_is_one_line(tmp_path: Path) -> None:
    unchecked = made(tmp_path).model_copy(update={"sticky_header": "X\n  http-request deny"})
    with pytest.raises(MarqueeError, match="cannot stand in the front's configuration"):
        config.render(unchecked)


@pytest.mark.parametrize("word", ["m; show info", "m 1", "m\n", "m\\", ""])
def test_what_is_told_to_a_running_haproxy_is_one_word(tmp_path: Path, word: str) -> None:
    names = maps.RuntimeMap(tmp_path / "nobody.sock", tmp_path / maps.NAMES)
    for entries in ({"default": word}, {word: "1"}):
        with pytest.raises(MarqueeError, match="cannot be told"):
            names.set(entries)


@pytest.mark.parametrize("path", schemas.written(), ids=lambda path: path.name)
def test_what_is_written_from_the_settings_is_fresh(path: Path) -> None:
    assert schemas.written()[path] == path.read_text(), "run: make docs"


def test_every_setting_says_what_it_is_and_may_be() -> None:
    for name, field in FrontFile.model_fields.items():
        assert field.title, name
        assert field.description, name


def test_errors_are_json_without_single_quotes(tmp_path: Path) -> None:
    text = Refusal(400, "BadRequestException", "it's wrong").json(made(tmp_path))
    assert "'" not in text
    assert json.loads(text) == {"code": 400, "type": "BadRequestException", "message": "it's wrong"}


def test_the_shipped_file_is_yaml() -> None:
    assert isinstance(yaml.safe_load((ROOT / "config" / "front.yaml").read_text()), dict)
