"""One server behind a real HAProxy for all tests that need one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import torch
import yaml

from marquee.errors import MarqueeError
from marquee.front import config, launch, program
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from marquee.project import Project
from tests.conftest import FAULTY_ROOM, MAX_RESPONSE
from tests.support import BIN, Running, check_mark, free_ports, make_project, marquee, serving

FRONT = (BIN / "marquee", "serve", "--front")
# Of the faulty model: its fault is the first pixel times this, so that a pixel of 20 is harmless
# to 1.0, and makes 2.0 fail (2); a pixel of 110 makes it slow (11).
SCALES = {"1.0": 1.0, "2.0": 0.1}


@pytest.fixture(scope="session")
def haproxy() -> Path:
    """The HAProxy of this machine; without one the tests are skipped, loudly."""
    try:
        return program.find()
    except MarqueeError as error:
        pytest.skip(f"NOT TESTED, the front door: {error}")


Start = Callable[..., FrontSettings]


@contextmanager
def alone(folder: Path, scheme: str = "http", **more: object) -> Iterator[FrontSettings]:
    """Run a door with nothing behind it, without keys and without a management address."""
    check_mark()
    (port,) = free_ports(1)
    address = f"{scheme}://127.0.0.1:{port}"
    settings = FrontSettings(folder=folder, inference_address=address, **more)  # type: ignore[arg-type]
    config.write(settings)
    running = launch.start(settings, lambda _: None)
    try:
        yield settings
    finally:
        Haproxy(folder).stop()
        running.wait(10)


@pytest.fixture
def start(haproxy: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a door as :func:`alone` does, until the test ends."""
    with ExitStack() as opened:

        def start_it(scheme: str = "http", **more: object) -> FrontSettings:
            return opened.enter_context(alone(tmp_path / "front", scheme, **more))

        yield start_it


@pytest.fixture(scope="module")
def lone_door(haproxy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontSettings]:
    """A door for all tests of a module, with ``m`` as its default model."""
    with alone(tmp_path_factory.mktemp("door") / "front", default_model="m") as settings:
        yield settings


@pytest.fixture(scope="session")
def front_project(haproxy: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """cifar 2.0 and two versions of the faulty model, asked often and impatiently."""
    made = make_project(tmp_path_factory.mktemp("front") / "project", "cifar")
    shutil.copytree(
        FAULTY_ROOM, made.handlers / "faulty", ignore=shutil.ignore_patterns("__pycache__")
    )
    for version, scale in SCALES.items():
        folder = made.weights / "faulty" / version
        folder.mkdir(parents=True)
        torch.save({"scale": torch.tensor([scale])}, folder / "faulty.pth")
    _set_versions(made, "cifar", ["2.0"], default="2.0")
    _set_versions(made, "faulty", ["1.0", "2.0"], default="1.0")
    write_settings(made, probe_interval=1, probe_timeout=2)
    built = marquee(made, "archive")
    assert built.returncode == 0, built.stderr
    return made


def _set_versions(project: Project, model: str, versions: list[str], default: str) -> None:
    path = project.handlers / model / "model-config.yaml"
    config = yaml.safe_load(path.read_text())
    listed = config["marquee"]["versions"]
    weights = next(iter(listed.values()))["weights"]
    config["marquee"]["versions"] = {v: listed.get(v, {"weights": weights}) for v in versions}
    config["marquee"]["default"] = default
    config["maxBatchDelay"] = 1
    path.write_text(yaml.safe_dump(config))


def write_settings(project: Project, **settings: object) -> None:
    """Write config/front.yaml."""
    (project.root / "config" / "front.yaml").write_text(yaml.safe_dump(settings))


@pytest.fixture(scope="package")
def door(front_project: Project) -> Iterator[Running]:
    """A running `marquee serve --front`."""
    with serving(front_project, *FRONT, TS_MAX_RESPONSE_SIZE=str(MAX_RESPONSE)) as running:
        yield running


@pytest.fixture
def front(door: Running) -> Iterator[httpx.Client]:
    """A client of the front door, with a token."""
    with door.client() as made:
        yield made


@pytest.fixture
def stranger(door: Running) -> Iterator[httpx.Client]:
    """A client of the front door without a token."""
    with httpx.Client(base_url=door.inference, timeout=60, trust_env=False) as made:
        yield made
