from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.properties import for_launcher, load, read
from tests.support import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "config.properties"
    made.write_text(
        "# a comment\nenable_envvars_config=true\nmax_request_size = 5\nvmargs=-Xmx1g\n"
    )
    return made


def test_the_file_fills_in_for_defaults(path: Path) -> None:
    properties = read(path, {})
    assert properties["max_request_size"] == "5"
    assert properties["inference_address"] == "http://127.0.0.1:8080"


def test_the_environment_wins_where_torchserve_lets_it(path: Path) -> None:
    environment = {"TS_MAX_REQUEST_SIZE": "6", "TS_MODEL_STORE": "m", "TS_VMARGS": "-Xmx9g"}
    properties = read(path, environment)
    assert properties["max_request_size"] == "6"
    assert properties["model_store"] == "m"
    assert properties["vmargs"] == "-Xmx1g"
    path.write_text(path.read_text().replace("true", "false"))
    assert read(path, environment)["max_request_size"] == "5"


def test_an_empty_variable_is_refused_before_it_kills_the_server(path: Path) -> None:
    with pytest.raises(MarqueeError, match="TS_MAX_REQUEST_SIZE is set but empty"):
        read(path, {"TS_MAX_REQUEST_SIZE": ""})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="nothing.properties"):
        read(tmp_path / "nothing.properties", {})


def test_our_configuration_is_safe_and_documented() -> None:
    properties = read(ROOT / "config.properties", {})
    for name in ("inference_address", "management_address", "metrics_address"):
        assert properties[name].startswith("http://127.0.0.1:")
    assert properties["disable_token_authorization"] == "false"
    assert properties["max_request_size"] == properties["max_response_size"] == str(100 << 20)
    assert "-Xmx" in properties["vmargs"]
    paragraphs = (ROOT / "config.properties").read_text().split("\n\n")
    assert all(paragraph.startswith("#") for paragraph in paragraphs)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("max_request_size: 7", "max_request_size", "7"),
        ("max_request_size 7", "max_request_size", "7"),
        ("!max_request_size=8\nmax_request_size=7\n!max_request_size=9", "max_request_size", "7"),
        ("inference_address=http\\://127.0.0.1\\:9", "inference_address", "http://127.0.0.1:9"),
        ("inference_address=http\\u003a//127.0.0.1:9", "inference_address", "http://127.0.0.1:9"),
        ("vmargs=-Xmx1g \\\n   -Dx=y", "vmargs", "-Xmx1g -Dx=y"),
        ("model_store=\xe9", "model_store", "\xe9"),
        ("model_store=$$HOME$$/store", "model_store", "/root/store"),
        ("model_store=a$$HOME$$b$$HOME$$", "model_store", "a/rootb/root"),
    ],
)
def test_the_file_is_read_as_java_reads_it(path: Path, text: str, name: str, value: str) -> None:
    path.write_text(text, encoding="latin-1")
    assert read(path, {"HOME": "/root"})[name] == value


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbfmodel_store=a", "byte order mark"),
        ("model_store=a".encode("utf-16"), "byte order mark"),
        (b"model_store=\\u12", "four hex digits"),
        (b"model_store=$$NO_SUCH$$", "no NO_SUCH is set"),
        (b"inference_address=127.0.0.1:8080", "expected http://HOST:PORT.*TS_INFERENCE_ADDRESS"),
        (b"inference_address=http://[::1:8080", "expected http://HOST:PORT"),
        (b"metrics_address=http://127.0.0.1:99999", "expected http://HOST:PORT"),
        (b"grpc_inference_port=70000", "at most 65535; set TS_GRPC_INFERENCE_PORT"),
        (b"max_request_size=100 MB", "expected a number of bytes; set TS_MAX_REQUEST_SIZE"),
        (b"grpc_inference_port=many", "at most 65535"),
    ],
)
def test_what_java_would_trip_over_is_refused_with_a_sentence(
    path: Path, content: bytes, told: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(MarqueeError, match=told):
        read(path, {})


def test_a_file_that_the_launcher_understands_stays(path: Path, tmp_path: Path) -> None:
    assert for_launcher(path, tmp_path) == path
    assert for_launcher(ROOT / "config.properties", tmp_path) == ROOT / "config.properties"


@pytest.mark.parametrize(
    "text", ["vmargs: -Xmx1g -Da=b", "vmargs=-Xmx1g \\\n  -Da=b", "vmargs -Xmx1g\\u0020-Da=b"]
)
def test_what_the_launcher_would_miss_is_written_anew(
    path: Path, tmp_path: Path, text: str
) -> None:
    path.write_text(f"{text}\nmodel_store:a\\ b\ncertificate_file=\\u00e9\\\\x\n")
    made = for_launcher(path, tmp_path)
    assert made != path
    assert load(made) == load(path)
    assert "\nvmargs=-Xmx1g -Da=b\n" in made.read_text()
