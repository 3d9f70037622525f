"""One server for all tests that need one: real archives of all models, and a faulty one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
import yaml

from marquee.project import Project
from tests.handlers.rotifer.support import golden_files
from tests.handlers.timetravel.support import write_small_checkpoint
from tests.support import FOREIGN, GOLDEN, Running, golden_state, make_project, marquee, serving

# An activated shell's TEMP is a server's folder; what is made there gets too long for sockets.
os.environ.pop("TEMP", None)
tempfile.tempdir = None

FAULTY_ROOM = Path(__file__).parent / "server" / "faulty"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's activated shell out of the tests."""
    for name in [*os.environ]:
        if FOREIGN.fullmatch(name):
            monkeypatch.delenv(name)


def _add_version(
    project: Project, model: str, version: str, state: dict[str, torch.Tensor]
) -> None:
    """Add a version with the given weights to a model's room and weights folder."""
    torch.save(state, _weights_folder(project, model, version) / "golden.pth")


def _golden_versions(project: Project) -> None:
    import json  # noqa: PLC0415

    cifar = json.loads((GOLDEN / "cifar" / "expected.json").read_text())
    for version, network in (("91.0", "lenet"), ("92.0", "vgg11")):
        state = golden_state(f"cifar_{network}", cifar[network]["salt"], cifar["gain"])
        _add_version(project, "cifar", version, state)
    _add_version(project, "inkwash", "91.0", golden_state("inkwash", "inkwash-golden-1:"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with our models (demo and golden weights) and the faulty one, all built."""
    made = make_project(tmp_path_factory.mktemp("session") / "project", "cifar", "inkwash")
    shutil.copytree(
        FAULTY_ROOM, made.handlers / "faulty", ignore=shutil.ignore_patterns("__pycache__")
    )
    (made.weights / "faulty").mkdir(parents=True)
    torch.save({"scale": torch.ones(1)}, made.weights / "faulty" / "faulty.pth")
    _golden_versions(made)
    built = marquee(made, "archive")
    assert built.returncode == 0, built.stderr
    return made


@pytest.fixture(scope="session")
def detectors_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The other three models, as demos (1.0) and with the weights of the reference vectors."""
    models = ("rotifer", "smoke", "timetravel")
    made = make_project(tmp_path_factory.mktemp("detectors") / "project", *models)
    for version, network in (("91.0", "tiny5"), ("92.0", "res5")):
        golden_files(_weights_folder(made, "rotifer", version), network)
    shutil.copy(GOLDEN / "smoke" / "smoke_unet.h5", _weights_folder(made, "smoke", "91.0"))
    write_small_checkpoint(_weights_folder(made, "timetravel", "91.0") / "golden.pt")
    built = marquee(made, "archive")
    assert built.returncode == 0, built.stderr
    return made


def _weights_folder(project: Project, model: str, version: str) -> Path:
    """Add a version to a model's room and return the folder for its weights."""
    path = project.handlers / model / "model-config.yaml"
    config = yaml.safe_load(path.read_text())
    config["marquee"]["versions"][version] = {"weights": ["*.pth", "*.pt", "*.weights", "*.h5"]}
    path.write_text(yaml.safe_dump(config))
    folder = project.weights / model / version
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def detectors(detectors_project: Project) -> Iterator[Running]:
    """A running server with rotifer, smoke and timetravel."""
    with serving(detectors_project) as running:
        yield running


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one archive, for the tests that start servers of their own."""
    made = make_project(tmp_path_factory.mktemp("small") / "project", "cifar")
    path = made.handlers / "cifar" / "model-config.yaml"
    config = yaml.safe_load(path.read_text())
    del config["marquee"]["versions"]["1.0"]
    path.write_text(yaml.safe_dump(config))
    built = marquee(made, "archive")
    assert built.returncode == 0, built.stderr
    return made


@pytest.fixture(scope="session")
def server(project: Project) -> Iterator[Running]:
    """A running server with all archives of the session's project."""
    with serving(project) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    """An HTTP client for the server's inference address, with a token."""
    with server.client() as made:
        yield made


@pytest.fixture
def detectors_client(detectors: Running) -> Iterator[httpx.Client]:
    """An HTTP client for the server of the other three models, with a token."""
    with detectors.client() as made:
        yield made
