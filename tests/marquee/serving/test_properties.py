from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.serving.properties import read
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
