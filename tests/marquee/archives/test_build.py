"""Archives built for real, by torch-model-archiver, and loaded as a worker would."""

import json
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.cifar.model import LeNet
from marquee.archives import reader
from marquee.archives.digests import file_digest
from marquee.archives.inspection import diff, inspect
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.support import make_project, marquee, only_version

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = lenet(tmp_path_factory.mktemp("first") / "project")
    done = marquee(project, "archive")
    assert done.returncode == 0, done.stderr
    return project


def lenet(folder: Path) -> Project:
    """Make a project with one version of one model."""
    return only_version(make_project(folder, "cifar"), "cifar", "1.0")


def fails(project: Project, *words: str, **environment: str) -> str:
    done = marquee(project, "archive", *words, **environment)
    assert done.returncode in (1, 3)
    # A busy machine's steps take long, and are announced.
    first, *more = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]
    assert first.startswith("Error: ")
    assert all(line.startswith(("Error: ", "Warning: ", "Not built: ")) for line in more)
    return first


def test_the_same_inputs_give_the_same_bytes(built: Project, tmp_path: Path) -> None:
    other = lenet(tmp_path / "elsewhere")
    for path in other.handlers.rglob("*"):
        path.touch()
    time.sleep(1.1)
    done = marquee(other, "archive")
    digest = file_digest(built.model_store / "cifar-1.0.mar")
    assert file_digest(other.model_store / "cifar-1.0.mar") == digest
    assert f"sha256:{digest}  cifar-1.0.mar" in done.stdout
    assert not list(other.model_store.glob(".*.part"))


def test_another_kind_of_processor_gives_the_same_content(built: Project, tmp_path: Path) -> None:
    """Golden answers may differ in their last digits, and with them the archive's bytes."""
    other = lenet(tmp_path / "elsewhere")
    oldest = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    assert marquee(other, "archive", **oldest).returncode == 0
    found, made = (inspect(one.model_store / "cifar-1.0.mar") for one in (built, other))
    assert found.content == made.content
    compared = diff(found, made)
    assert (compared.weights, compared.content) == ("same", "same")
    assert compared.golden in ("same", "alike")


def test_what_is_up_to_date_is_left_alone(built: Project) -> None:
    before = [path.stat().st_mtime_ns for path in sorted(built.model_store.glob("*.mar"))]
    done = marquee(built, "archive")
    assert done.stdout.count("up to date") == 1
    assert before == [path.stat().st_mtime_ns for path in sorted(built.model_store.glob("*.mar"))]


def test_a_change_of_source_rebuilds_only_what_it_is_in(built: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(built.root, project.root, copy_function=shutil.copy2)
    readme = project.handlers / "cifar" / "train.py"
    readme.write_text(readme.read_text() + "\n# not in the archive\n")
    assert marquee(project, "archive").stdout.count("up to date") == 1
    model = project.handlers / "cifar" / "model.py"
    model.write_text(model.read_text() + "\n# in the archive\n")
    assert marquee(project, "archive").stdout.count("built") == 1


def test_the_archive_and_its_manifest(built: Project) -> None:
    path = built.model_store / "cifar-1.0.mar"
    manifest = reader.read(path).content
    assert manifest["model"] == {
        "modelName": "cifar",
        "modelVersion": "1.0",
        "handler": "handler.py",
        "serializedFile": "lenet.pth",
        "configFile": "model-config.yaml",
    }
    weights = built.handlers / "cifar" / "demo" / "lenet.pth"
    assert manifest["marquee"]["weights"] == file_digest(weights)
    assert len(manifest["marquee"]["digest"]) == 64
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert "handlers/runtime/handler.py" in archive.namelist()
    assert not [name for name in archive.namelist() if "marquee" in name or "train" in name]


def test_source_date_epoch_is_the_time_inside(built: Project, tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    done = marquee(project, "archive", SOURCE_DATE_EPOCH="1700000000")
    assert done.returncode == 0
    with zipfile.ZipFile(project.model_store / "cifar-1.0.mar") as archive:
        assert archive.infolist()[0].date_time == (2023, 11, 14, 22, 13, 20)
    assert "SOURCE_DATE_EPOCH" in fails(project, SOURCE_DATE_EPOCH="today")


def give_weights(project: Project, state: dict[str, torch.Tensor]) -> Path:
    path = project.weights / "cifar" / "1.0" / "mine.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def test_the_users_weights_are_packed(built: Project, tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    torch.manual_seed(0)
    path = give_weights(project, LeNet(conv1=8).state_dict())
    assert marquee(project, "archive", "cifar").returncode == 0
    manifest = reader.read(project.model_store / "cifar-1.0.mar").content
    assert manifest["model"]["serializedFile"] == "mine.pth"
    assert manifest["marquee"]["weights"] == file_digest(path)


def test_each_archive_says_whose_weights_it_holds(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "cifar", "rotifer")
    path = project.weights / "cifar" / "1.0" / "best.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"model": LeNet(2, 2, 4, 4).state_dict()}, path)
    (project.weights / "stray.pth").write_bytes(path.read_bytes())
    (project.weights / "vgg11_best.pth").write_bytes(b"<html>")
    _sees_everything(project)
    done = marquee(project, "archive")
    assert done.returncode == 3
    first, rotifer = done.stdout.splitlines()
    assert first.endswith(f"cifar-1.0.mar  weights: your best.ckpt {file_digest(path)[:12]}")
    assert "rotifer-1.0.mar  weights: your rotifer.weights" in rotifer
    about = reader.read(project.model_store / "cifar-1.0.mar").content["marquee"]
    assert about["weights_from"] == "user"
    assert about["weights_file"] == "best.ckpt"
    assert about["weights"] == file_digest(path)
    assert "Error: cifar 2.0 would get the demo weights although" in done.stderr
    assert "vgg11_best.pth (a web page) is there; download the file itself" in done.stderr
    assert "Warning: weights/stray.pth (a PyTorch file) is not packed" in done.stderr
    assert done.stderr.endswith("Not built: cifar 2.0; 2 of 3 are up to date\n")
    said = next(line for line in done.stderr.splitlines() if "cannot process" in line)
    assert said.startswith("Warning: rotifer 1.0 cannot process its example example.png: 50700")
    assert "into weights/rotifer/, as example.png or the like" in said
    with zipfile.ZipFile(project.model_store / "rotifer-1.0.mar") as archive:
        assert not [name for name in archive.namelist() if name.startswith("golden/")]
    (project.weights / "vgg11_best.pth").unlink()
    done = marquee(project, "archive", "cifar")
    assert done.returncode == 0, done.stderr
    assert "cifar-2.0.mar  weights: demo" in done.stdout
    assert done.stdout.startswith("up to date")


def _sees_everything(project: Project) -> None:
    """Give rotifer a network that finds something in every place of any picture."""
    demo, own = project.handlers / "rotifer" / "demo", project.weights / "rotifer"
    own.mkdir()
    for kind in ("data", "names"):
        shutil.copy(demo / f"rotifer.{kind}", own)
    cfg = (demo / "rotifer.cfg").read_text()
    (own / "rotifer.cfg").write_text(re.sub(r"(?m)^(width|height)\s*=.*", r"\1=832", cfg))
    whole = (demo / "rotifer.weights").read_bytes()
    numbers = np.full((len(whole) - 20) // 4, 0.02, "<f4")
    (own / "rotifer.weights").write_bytes(whole[:20] + numbers.tobytes())


def test_a_users_example_takes_the_place_of_ours_in_its_version(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "cifar")
    own = project.weights / "cifar" / "2.0" / "example.npy"
    own.parent.mkdir(parents=True)
    np.save(own, np.full((3, 32, 32), 200, np.uint8))
    done = marquee(project, "archive")
    assert done.returncode == 0, done.stderr
    for version, ending in (("1.0", "png"), ("2.0", "npy")):
        with zipfile.ZipFile(project.model_store / f"cifar-{version}.mar") as archive:
            names = [name for name in archive.namelist() if name.startswith("example.")]
            assert names == [f"example.{ending}"]
    with zipfile.ZipFile(project.model_store / "cifar-2.0.mar") as archive:
        assert archive.read("example.npy") == own.read_bytes()


def test_weights_that_do_not_fit_are_explained(tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    state = LeNet().state_dict()
    state["fc2.bias"] = torch.zeros(7)
    del state["fc3.bias"]
    path = give_weights(project, state)
    said = fails(project, "cifar")
    assert f"cifar 1.0 does not load: {path}" in said
    assert "fc2.bias should be (84,) and is (7,)" in said
    assert "1 missing: fc3.bias" in said
    assert not [*project.model_store.glob("*.mar")]


def test_truncated_weights_are_explained(tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    path = give_weights(project, LeNet().state_dict())
    path.write_bytes(path.read_bytes()[:-1000])
    assert f"{path}: " in fails(project, "cifar")


def test_a_model_without_an_example_is_refused(tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    (project.handlers / "cifar" / "example.png").unlink()
    assert "has no example.*" in fails(project)


def test_a_model_that_fails_on_its_example_is_not_packed(tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    (project.handlers / "cifar" / "example.png").write_bytes(b"no picture")
    said = fails(project)
    assert "own example example.png" in said
    assert "no image" in said


def test_a_failed_build_leaves_the_old_archive(built: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(built.root, project.root, copy_function=shutil.copy2)
    before = file_digest(project.model_store / "cifar-1.0.mar")
    handler = project.handlers / "cifar" / "handler.py"
    handler.write_text(handler.read_text().replace("load_network(", "load_nothing("))
    assert "load_nothing" in fails(project)
    assert file_digest(project.model_store / "cifar-1.0.mar") == before


def test_outside_a_project_the_command_says_so(tmp_path: Path) -> None:
    assert "is not inside a marquee project" in fails(Project(tmp_path))


def test_a_store_without_its_record_is_built_again(built: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(built.root, project.root, copy_function=shutil.copy2)
    (project.model_store / ".marquee.json").write_text("not json")
    assert marquee(project, "archive", "cifar").stdout.count("built") == 1


def test_no_archive_is_read_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.mar"
    path.write_bytes(b"not a zip")
    with pytest.raises(MarqueeError, match=r"x\.mar is no model archive"):
        reader.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", json.dumps({}))
    with pytest.raises(MarqueeError, match=r"x\.mar is no model archive"):
        reader.read(path)


def test_the_stock_archiver_and_unzip_read_it(built: Project) -> None:
    listed = subprocess.run(
        ["python3", "-m", "zipfile", "-t", built.model_store / "cifar-1.0.mar"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Done testing" in listed.stdout


PACK = """
from pathlib import Path


def inputs(weights: Path) -> list[Path]:
    companion = weights.with_suffix(".txt")
    if not companion.is_file():
        raise ValueError(f"{companion} is missing; put it beside {weights.name}")
    return [weights, companion]


def pack(weights: Path, out: Path) -> Path:
    (out / "names.txt").write_text(weights.with_suffix(".txt").read_text().upper())
    (out / "packed.pth").write_bytes(weights.read_bytes())
    return out / "packed.pth"
"""


def test_a_room_may_pack_its_own_files(tmp_path: Path) -> None:
    project = lenet(tmp_path / "project")
    (project.handlers / "cifar" / "pack.py").write_text(PACK)
    assert "lenet.txt is missing" in fails(project)
    companion = project.handlers / "cifar" / "demo" / "lenet.txt"
    companion.write_text("names")
    assert marquee(project, "archive").stdout.count("built") == 1
    with zipfile.ZipFile(project.model_store / "cifar-1.0.mar") as archive:
        assert archive.read("names.txt") == b"NAMES"
        assert "packed.pth" in archive.namelist()
        assert "lenet.pth" not in archive.namelist()
    assert marquee(project, "archive").stdout.count("up to date") == 1
    companion.write_text("other")
    assert marquee(project, "archive").stdout.count("built") == 1
