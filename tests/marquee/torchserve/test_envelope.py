"""Which archives an envelope may unwrap the requests of."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve import envelope


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in ("handler.py", *names):
            made.writestr(name, "")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "config.properties").write_text("enable_envvars_config=true\n")
    return Project(tmp_path)


def test_an_envelope_is_for_handlers_of_others(project: Project, tmp_path: Path) -> None:
    project = replace(project, environ={"TS_SERVICE_ENVELOPE": "json"})
    theirs = archive(tmp_path / "theirs.mar")
    ours = archive(tmp_path / "ours.mar", envelope.OURS)
    folder = tmp_path / "model-1.0.mar"
    (folder / envelope.OURS).parent.mkdir(parents=True)
    (folder / envelope.OURS).touch()
    envelope.check(project, [theirs])
    with pytest.raises(MarqueeError, match=r"ours.mar, model-1.0.mar take .*unset it"):
        envelope.check(project, [theirs, ours, folder])


def test_without_an_envelope_nothing_is_looked_into(project: Project, tmp_path: Path) -> None:
    envelope.check(project, [tmp_path / "missing.mar"])


def test_the_marker_is_in_every_archive_of_ours() -> None:
    root = Path(__file__).parents[3]
    assert (root / envelope.OURS).is_file()
