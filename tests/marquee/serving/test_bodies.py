"""Who gets decoded bodies is decided by what is in the store; a variable overrules it."""

import pytest

from marquee.project import Project
from marquee.serving import bodies, server
from tests.marquee.archives.odd import mar, model
from tests.support import make_project


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make_project(tmp_path_factory.mktemp("bodies") / "project")
    monkeypatch.setenv("TEMP", str(made.root / "temp"))
    return made


def ours(project: Project) -> None:
    mar(project.model_store / "ours.mar", model(modelName="ours") | {"marquee": {"digest": "x"}})


def others(project: Project) -> None:
    mar(project.model_store / "others.mar", model(modelName="others"))


def decodes(project: Project) -> str | None:
    return server.variables_of(project).get(bodies.SWITCH)


def test_others_get_what_torchserve_gives_by_itself(project: Project) -> None:
    assert decodes(project) is None
    others(project)
    assert decodes(project) == "true"
    assert list(bodies.warnings(project)) == []


def test_ours_get_bytes_and_others_beside_them_are_warned_of(project: Project) -> None:
    ours(project)
    assert decodes(project) is None
    assert list(bodies.warnings(project)) == []
    others(project)
    assert decodes(project) is None
    (said,) = bodies.warnings(project)
    assert said.startswith("others may expect decoded JSON")


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_variable_overrules_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    others(project)
    monkeypatch.setenv(bodies.SWITCH, value)
    assert decodes(project) is None  # as it is in the environment


def test_an_envelope_decodes_unless_that_was_forbidden(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(project)
    monkeypatch.setenv(bodies.ENVELOPE, "json")
    assert decodes(project) == "true"
    assert list(bodies.warnings(project)) == []
    monkeypatch.setenv(bodies.SWITCH, "false")
    (said,) = bodies.warnings(project)
    assert "'json' needs decoded bodies" in said
