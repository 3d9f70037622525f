from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from marquee.archives import weight_files
from marquee.archives.rooms import (
    InContainer,
    default_version,
    in_container,
    names,
    trainings,
    versions,
)
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.support import ROOT, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", "cifar", "inkwash")


def place(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"weights")
    return folder / name


def found(project: Project, version: str = "2.0", *, sole: bool = False) -> Path:
    listed = {} if sole else {"1.0": ["lenet.pth"]}
    listed["2.0"] = ["vgg11.pth", "final.pth"]
    return weight_files.find(project, "cifar", version, listed)


def test_our_models_and_their_versions() -> None:
    project = Project(ROOT)
    assert {"cifar", "inkwash"} <= set(names(project))
    assert [model.archive_name for model in versions(project, "cifar")] == [
        "cifar-1.0.mar",
        "cifar-2.0.mar",
    ]
    assert default_version(project, "cifar") == "2.0"
    assert default_version(project, "inkwash") == "1.0"
    assert default_version(project, "nobody") is None


def test_every_setting_but_the_list_of_versions_reaches_the_archive(project: Project) -> None:
    (model,) = versions(project, "inkwash")
    assert model.config["batchSize"] == 1
    assert model.config["marquee"]["max_items"] == 1
    assert model.config["marquee"]["version"] == "1.0"
    assert not {"versions", "default", "curl", "weights"} & set(model.config["marquee"])
    assert yaml.safe_load(model.config_text) == model.config


def test_the_users_weights_beat_the_demos(project: Project) -> None:
    demo = found(project)
    assert demo.parent.name == "demo"
    anywhere = place(project.weights, "final.pth")
    assert found(project) == anywhere
    own = place(project.weights / "cifar", "final.pth")
    assert found(project) == own
    better = place(project.weights / "cifar", "vgg11.pth")
    assert found(project) == better
    versioned = place(project.weights / "cifar" / "2.0", "anything.pt")
    assert found(project) == versioned


def test_a_single_file_of_any_name_will_do_for_a_model_of_one_version(project: Project) -> None:
    named = place(project.weights / "cifar", "latest.pth")
    assert found(project, sole=True) == named
    assert found(project, sole=False).parent.name == "demo"


def test_several_files_of_unknown_names_are_a_question(project: Project) -> None:
    place(project.weights / "cifar" / "2.0", "a.pth")
    place(project.weights / "cifar" / "2.0", "b.pth")
    with pytest.raises(MarqueeError, match=r"several weight files .*a\.pth, b\.pth"):
        found(project)


def test_no_weights_says_where_to_put_which(project: Project) -> None:
    for file in (project.handlers / "cifar" / "demo").glob("*.pth"):
        file.unlink()
    with pytest.raises(MarqueeError, match=r"put vgg11\.pth or final\.pth into .*weights/cifar"):
        found(project)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML"),
        ("minWorkers: 1", "at least one version"),
        ("marquee: {versions: {}}", "at least one version"),
        ("marquee: {versions: {1.0: {weights: [a]}}}", "in quotes"),
        ("marquee: {versions: {'1.0': {}}}", "needs weights"),
        ("marquee: {versions: {'feature/x': {weights: [a]}}}", "the version is 'feature/x'"),
        ("marquee: {default: '2', versions: {'1.0': {weights: [a]}}}", "default is '2'"),
    ],
)
def test_a_wrong_configuration_is_named(project: Project, text: str, words: str) -> None:
    (project.handlers / "cifar" / "model-config.yaml").write_text(text)
    with pytest.raises(MarqueeError, match=words):
        versions(project, "cifar")


def test_an_unknown_model_is_told_the_known_ones(project: Project) -> None:
    with pytest.raises(MarqueeError, match="no model 'cat'.*cifar, inkwash"):
        versions(project, "cat")


def test_the_environments_timeout_goes_into_the_archive(project: Project) -> None:
    project = replace(project, environ={"TS_DEFAULT_RESPONSE_TIMEOUT": "33"})
    assert versions(project, "cifar")[0].config["responseTimeout"] == 33
    project = replace(project, environ={"TS_DEFAULT_RESPONSE_TIMEOUT": "soon"})
    with pytest.raises(MarqueeError, match="'soon', expected seconds"):
        versions(project, "cifar")


def test_what_the_container_does_more_for_a_model_is_told_by_its_room(tmp_path: Path) -> None:
    project = Project(ROOT)
    assert in_container(project, "rotifer") == InContainer({"data": "pong!"}, ("*",))
    assert in_container(project, "smoke") == in_container(project, "absent") == InContainer()
    (cifar,) = trainings(project)
    assert (cifar.room, cifar.weights) == ("cifar", "final.pth")
    other = Project(tmp_path)
    (tmp_path / "handlers" / "net").mkdir(parents=True)
    for text in ("train: {weights: a}", "train: 1", "[", "ping", ""):
        (tmp_path / "handlers" / "net" / "container.yaml").write_text(text)
        with pytest.raises(
            MarqueeError, match=r"container\.yaml (is not valid YAML|.*; expected ping)"
        ):
            in_container(other, "net")
