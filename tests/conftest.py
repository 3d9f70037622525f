"""One server for all tests that need one: real archives of all models, and a faulty one.

With several workers (`make test`) each has its own servers, ports and folders; what shares a server
runs in one worker, and what takes long to build is built by the first that wants it.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import yaml

from marquee.files import locked
from marquee.project import Project
from tests import workers
from tests.browser import browser  # noqa: F401 - a fixture
from tests.handlers.rotifer.support import golden_files
from tests.handlers.timetravel.support import write_small_checkpoint
from tests.support import (
    FOREIGN,
    GOLDEN,
    MARKED,
    Running,
    golden_state,
    make_project,
    marquee,
    only_version,
    serving,
)

# What a developer's activated shell has set is not the tests'; with its TEMP, a server's folder,
# names of what is made there get too long for sockets.
for _name in [*os.environ]:
    if FOREIGN.fullmatch(_name) and _name != "TMPDIR":
        del os.environ[_name]
tempfile.tempdir = None
# Who starts the tests with nohup, or behind a shell's &, has these ignored, and so would what they
# start; the tests send them.
for _number, _usual in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)

FAULTY_ROOM = Path(__file__).parent / "server" / "faulty"
LARGE = 100_000_000
# Of the shared server's answers, in bytes. TorchServe reads a batch's answers anew with each piece
# that arrives: two of 60 MB take it most of a minute, two of 12 MB a second.
MAX_RESPONSE = 20 << 20
# Each worker has its part of the cores; more threads than cores wait for each other.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
if WORKERS:
    torch.set_num_threads(max(1, torch.get_num_threads() // WORKERS))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need a server; with several workers, say which go first."""
    for item in items:
        workers.mark(item)
    if hasattr(config, "workerinput"):
        workers.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> workers.Groups:
    """Keep together what shares a server."""
    config.option.loadscopereorder = False  # by the number of tests alone
    return workers.Groups(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note whether the test may start a server."""
    MARKED.set(item.get_closest_marker("server") is not None)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests' temporary folder, and what a handler has set meanwhile, out of a test."""
    for name in [*os.environ]:
        if FOREIGN.fullmatch(name):
            monkeypatch.delenv(name)


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return what the first worker that wants it has made; all read it, and nobody writes to it."""
    base = factory.getbasetemp()
    path = (base.parent if WORKERS else base) / name
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            making = factory.mktemp("making") / name
            make(making)
            making.rename(path)
    return path


def _built(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Project]) -> Project:
    """Make a project and build its archives, once for all workers; return a copy for this one."""

    def build(folder: Path) -> None:
        done = marquee(make(folder), "archive")
        assert done.returncode == 0, done.stderr

    own = factory.mktemp(name) / "project"
    shutil.copytree(_once(factory, f"built-{name}", build), own, copy_function=_copy)
    return Project(own)


def _copy(source: str, target: str) -> None:
    """Copy a file; one with a gigabyte of weights is not written twice."""
    if os.path.getsize(source) > LARGE:  # noqa: PTH202 - copytree has texts
        os.link(source, target)
    else:
        shutil.copy2(source, target)


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


def _make_project(folder: Path) -> Project:
    made = make_project(folder, "cifar", "inkwash")
    shutil.copytree(
        FAULTY_ROOM, made.handlers / "faulty", ignore=shutil.ignore_patterns("__pycache__")
    )
    (made.weights / "faulty").mkdir(parents=True)
    torch.save({"scale": torch.ones(1)}, made.weights / "faulty" / "faulty.pth")
    _golden_versions(made)
    return made


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with our models (demo and golden weights) and the faulty one, all built."""
    return _built(tmp_path_factory, "session", _make_project)


@pytest.fixture(scope="session")
def face_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """timetravel's small golden network in a file as published: 1.3 GB, which take long."""
    return _once(tmp_path_factory, "sam_ffhq_aging.pt", write_small_checkpoint)


@pytest.fixture(scope="session")
def detectors_project(tmp_path_factory: pytest.TempPathFactory, face_checkpoint: Path) -> Project:
    """The other three models, as demos (1.0) and with the weights of the reference vectors."""

    def make(folder: Path) -> Project:
        made = make_project(folder, "rotifer", "smoke", "timetravel")
        for version, network in (("91.0", "tiny5"), ("92.0", "res5")):
            golden_files(_weights_folder(made, "rotifer", version), network)
        shutil.copy(GOLDEN / "smoke" / "smoke_unet.h5", _weights_folder(made, "smoke", "91.0"))
        (_weights_folder(made, "timetravel", "91.0") / "golden.pt").hardlink_to(face_checkpoint)
        return made

    return _built(tmp_path_factory, "detectors", make)


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


def _make_small(folder: Path) -> Project:
    return only_version(make_project(folder, "cifar"), "cifar", "2.0")


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one archive, for the tests that start servers of their own."""
    return _built(tmp_path_factory, "small", _make_small)


@pytest.fixture(scope="session")
def server(project: Project) -> Iterator[Running]:
    """A running server with all archives of the session's project."""
    with serving(project, TS_MAX_RESPONSE_SIZE=str(MAX_RESPONSE)) as running:
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
