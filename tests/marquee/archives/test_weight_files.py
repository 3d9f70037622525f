"""The user's weights: taken by content wherever they lie, or named with what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from handlers.cifar.model import LeNet
from marquee.archives import rooms, unused_weights, weight_files
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.support import make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", "cifar", "inkwash", "rotifer", "timetravel")


def put(project: Project, name: str, content: bytes | None = None) -> Path:
    """Put a file below weights/: small weights by default."""
    path = project.weights / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    elif name.endswith(".safetensors"):
        header = json.dumps({"fc3.bias": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4))
    else:
        torch.save(LeNet(2, 2, 4, 4).state_dict(), path)
    return path


def chosen(project: Project, version: str = "1.0", name: str = "cifar") -> Path:
    model = rooms.version_of(project, name, version)
    unused_weights.check(project, model)
    return model.weights


@pytest.mark.parametrize(
    "name",
    [
        "cifar/1.0/best.ckpt",
        "cifar/1.0/model.safetensors",
        "cifar/1.0/checkpoint.pth.tar",
        "cifar/1.0/pytorch_model.bin",
        "cifar/1.0/best.pkl",
        "cifar/1.0/BEST.PTH",
        "cifar/1.0/noending",
        "cifar/1.0/best.dat",
        "cifar/v1/best.pth",
        "cifar/V1.0/best.pth",
        "cifar/1/best.pth",
        "cifar/version_1/best.pth",
        "Cifar/1.0/lenet.pth",
        "CIFAR/lenet.ckpt",
        "cifar/LeNet.pth",
        "cifar/lenet.safetensors",
        "lenet.PTH",
        "lenet.pth.tar",
    ],
)
def test_taken_whatever_it_is_called(project: Project, name: str) -> None:
    path = put(project, name)
    assert chosen(project) == path
    assert rooms.version_of(project, "cifar", "1.0").origin == "user"
    assert not unused_weights.warnings(project)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("cifar/best.pth", r"weights/cifar/1\.0/ or weights/cifar/2\.0/"),
        ("cifar/v3/best.pth", r"weights/cifar/1\.0/ or weights/cifar/2\.0/"),
        ("cifar/1.0/run7/best.pth", r"put it into weights/cifar/1\.0/"),
        ("lenet_best.pth", r"put it into weights/cifar/1\.0/"),
        ("my_cifar.bin", r"weights/cifar/1\.0/ or weights/cifar/2\.0/"),
        ("cifar10/best.pth", r"weights/cifar/1\.0/ or weights/cifar/2\.0/"),
        ("cifar/lenet_best.ckpt", r"put it into weights/cifar/1\.0/"),
    ],
)
def test_evidently_meant_and_in_no_place_that_counts(
    project: Project, name: str, where: str
) -> None:
    path = put(project, name)
    with pytest.raises(MarqueeError, match=rf"would get the demo weights .*{path.name}.*{where}"):
        chosen(project)


def test_a_file_that_is_no_weights_is_named_for_what_it_is(project: Project) -> None:
    put(project, "cifar/1.0/best.bmp2", b"\x1f\x8b" + bytes(9))
    with pytest.raises(MarqueeError, match="a gzip file.*unpack it"):
        chosen(project)
    put(project, "cifar/1.0/best.bmp2", bytes(range(200, 256)))
    with pytest.raises(MarqueeError, match=r"of no known kind.*save the weights with torch\.save"):
        chosen(project)


def test_nobodys_file_is_a_warning_and_stops_nobody(project: Project) -> None:
    put(project, "something.pth")
    put(project, "notes/x.safetensors")
    assert chosen(project).parent.name == "demo"
    second, first = unused_weights.warnings(project)
    assert "weights/something.pth (a PyTorch file) is not packed; put it into weights/<m" in second
    assert "cifar, inkwash, rotifer, timetravel" in second
    assert "weights/notes/x.safetensors (a safetensors file) is not packed" in first


def test_beside_weights_that_are_taken_others_are_warnings(project: Project) -> None:
    put(project, "cifar/1.0/lenet.pth")
    put(project, "cifar/1.0/older.pth")
    put(project, "cifar/checkpoint.pt")
    put(project, "cifar/training_log.txt", b"epoch 1\n")
    assert chosen(project).name == "lenet.pth"
    assert chosen(project, "2.0").parent.name == "demo"
    said = unused_weights.warnings(project)
    assert (
        "older.pth (a PyTorch file) is not packed: cifar 1.0 gets weights/cifar/1.0/le" in said[1]
    )
    assert "checkpoint.pt (a PyTorch file) is not packed: cifar 1.0 gets" in said[0]
    assert said[2:] == ["no weights, and not packed: weights/cifar/training_log.txt"]


def test_what_lies_there_is_named_also_where_there_is_no_demo(project: Project) -> None:
    shutil.rmtree(project.handlers / "cifar" / "demo")
    put(project, "cifar/v9/best.pth")
    put(project, "inkwash.pth", b"<html>")
    with pytest.raises(weight_files.NoWeights, match=r"put lenet\.pth into .*weights/cifar"):
        chosen(project)
    _, said = unused_weights.warnings(project)
    assert "weights/cifar/v9/best.pth (a PyTorch file) is not packed; put it into" in said


@pytest.mark.parametrize("name", ["planet_ifar.pth", "notcifar.pth", "xcifar/best.pth"])
def test_a_name_within_another_word_means_nothing(project: Project, name: str) -> None:
    put(project, name)
    assert chosen(project).parent.name == "demo"
    (said,) = unused_weights.warnings(project)
    assert "put it into weights/<model>/" in said


def test_what_systems_leave_behind_is_passed_over(project: Project) -> None:
    for name in ("cifar/1.0/._best.pth", "cifar/1.0/.DS_Store", "__MACOSX/cifar/best.pth",
                 "._lenet.pth", "README.md", "cifar/__MACOSX/1.0/x.pth"):  # fmt: skip
        put(project, name, b"\x00\x05\x16\x07")
    assert chosen(project).parent.name == "demo"
    assert not unused_weights.warnings(project)
    path = put(project, "cifar/1.0/best.pth")
    assert chosen(project) == path


def test_two_that_fit_as_well_are_a_question(project: Project) -> None:
    put(project, "cifar/1.0/a.ckpt")
    put(project, "cifar/v1/b.safetensors")
    with pytest.raises(MarqueeError, match=r"several .*a\.ckpt, b\.safetensors.*lenet\.pth"):
        chosen(project)


def test_the_advice_can_be_followed(project: Project) -> None:
    for name in ("a", "b"):
        put(project, f"rotifer/{name}.weights", b"\0\0\0\0\2\0\0\0\5\0\0\0" + bytes(99))
    with pytest.raises(MarqueeError, match="keep one there and move the others elsewhere"):
        chosen(project, name="rotifer")


def test_companions_and_examples_are_used(project: Project) -> None:
    demo = project.handlers / "rotifer" / "demo"
    (project.weights / "rotifer").mkdir(parents=True)
    for kind in ("weights", "cfg", "data", "names"):
        shutil.copyfile(demo / f"rotifer.{kind}", project.weights / "rotifer" / f"rotifer.{kind}")
    put(project, "rotifer/example.jpg", b"\xff\xd8\xff")
    put(project, "timetravel/shape_predictor_68_face_landmarks.dat", bytes(range(99, 200)))
    assert not unused_weights.warnings(project)
    model = rooms.version_of(project, "rotifer", "1.0")
    assert model.origin == "user"
    assert [path.name for path in rooms.examples(project, model.name, model.version)] == [
        "example.jpg"
    ]
    chosen(project, name="timetravel")


def test_a_versions_example_beats_the_models(project: Project) -> None:
    model = rooms.version_of(project, "cifar", "1.0")
    (ours,) = rooms.examples(project, model.name, model.version)
    assert ours.parent == model.room
    general = put(project, "cifar/example.jpg", b"\xff\xd8\xff")
    assert rooms.examples(project, model.name, model.version) == [general]
    special = put(project, "cifar/v1/example.png", b"\x89PNG\r\n")
    assert rooms.examples(project, model.name, model.version) == [special]
    assert rooms.examples(project, "cifar", "2.0") == [general]


def test_endings_are_taken_off_names() -> None:
    stems = {"best.pth.tar": "best", "a.b.ckpt": "a.b", ".pth": ".pth", "x": "x", "n.txt": "n.txt"}
    assert {name: weight_files.stem_of(name) for name in stems} == stems


def test_what_lies_deep_is_named_and_links_in_circles_end(project: Project) -> None:
    deep = project.weights / "a" / "b" / "c" / "d" / "e" / "f" / "g" / "h"
    deep.mkdir(parents=True)
    (deep / "circle").symlink_to(project.weights)
    torch.save({"w": torch.ones(1)}, deep / "lenet.pth")
    (said,) = unused_weights.warnings(project)
    assert "a/b/c/d/e/f/g/h/lenet.pth" in said
