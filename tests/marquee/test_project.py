"""A project, and the variables that it was made with."""

from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project


def test_variables_are_those_of_the_time_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.properties").write_text("enable_envvars_config=true\n")
    monkeypatch.setenv("LOG_LOCATION", "/before")
    monkeypatch.setenv("TS_JOB_QUEUE_SIZE", "7")
    project = Project(tmp_path)
    monkeypatch.setenv("LOG_LOCATION", "/after")
    monkeypatch.setenv("TEMP", "/after")
    assert project.logs == Path("/before")
    assert project.temp.name.startswith("marquee-")
    assert Project(tmp_path).logs == Path("/after")
    assert project == Project(tmp_path)  # it is its folder that counts


def test_given_variables_count_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.properties").write_text("enable_envvars_config=true\n")
    monkeypatch.setenv("TS_INFERENCE_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("TEMP", "/mine")
    environ = {
        "TS_CONFIG_FILE": str(tmp_path / "other.properties"),
        "TS_MANAGEMENT_ADDRESS": "http://127.0.0.1:2",
        "TEMP": "/given",
    }
    project = Project(tmp_path, environ)
    assert project.temp == Path("/given")
    assert project.properties["inference_address"] == "http://127.0.0.1:8080"
    assert project.properties["management_address"] == "http://127.0.0.1:2"
    with pytest.raises(MarqueeError, match="no such configuration file"):
        _ = Project(tmp_path, {}).properties
