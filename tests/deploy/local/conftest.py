"""One stack for all tests that need one: the five models and the faulty one, as users start it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marquee.project import Project
from tests.conftest import FAULTY_ROOM
from tests.deploy.local.support import UpCloud, cloud_up
from tests.support import ROOT, make_project, server_environment

MODELS = ("cifar", "inkwash", "rotifer", "smoke", "timetravel")


@pytest.fixture(scope="session")
def cloud_project(
    project: Project, detectors_project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project with all models, with the archives that the other tests have built."""
    made = make_project(tmp_path_factory.mktemp("cloud") / "project", *MODELS)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FAULTY_ROOM, made.handlers / "faulty", ignore=ignore)
    shutil.copytree(project.weights / "faulty", made.weights / "faulty")
    shutil.copytree(ROOT / "deploy" / "aws", made.root / "deploy" / "aws", ignore=ignore)
    for other in (project, detectors_project):
        for archive in other.model_store.glob("*.mar"):
            # Those with the weights of the reference vectors have versions from 91.0.
            if not archive.stem.rpartition("-")[2].startswith("9"):
                shutil.copy(archive, made.model_store)
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A project without models."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="package")
def cloud(cloud_project: Project) -> Iterator[UpCloud]:
    """A running `marquee cloud up`."""
    with (
        tempfile.TemporaryDirectory(prefix="mq-", dir="/tmp") as temp,
        cloud_up(cloud_project, server_environment(Path(temp))) as up,
    ):
        yield up
