from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handlers.timetravel import faces, pack
from tests.support import ROOT


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weight file in a project that has no landmark model yet."""
    monkeypatch.setattr(pack, "USER_WEIGHTS", tmp_path / "weights")
    path = tmp_path / "weights" / "timetravel" / "1.0" / "sam_ffhq_aging.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"network")
    return path


def test_the_name_is_the_one_that_serving_looks_for() -> None:
    assert pack.PREDICTOR == faces.PREDICTOR


def test_weights_alone(weights: Path, tmp_path: Path) -> None:
    assert pack.inputs(weights) == [weights]
    out = tmp_path / "out"
    out.mkdir()
    assert pack.pack(weights, out) == out / weights.name
    assert [path.name for path in out.iterdir()] == [weights.name]


def test_the_nearest_landmark_model_is_packed(weights: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "weights", tmp_path / "weights" / "timetravel", weights.parent]
    for number, folder in enumerate(folders):
        (folder / pack.PREDICTOR).write_bytes(f"model {number}".encode())
        assert pack.inputs(weights) == [weights, folder / pack.PREDICTOR]
    out = tmp_path / "out"
    out.mkdir()
    pack.pack(weights, out)
    assert (out / pack.PREDICTOR).read_bytes() == b"model 2"
    assert (out / weights.name).read_bytes() == b"network"


def test_as_a_command(weights: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "handlers.timetravel.pack", str(weights), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / weights.name).read_bytes() == b"network"
    short = subprocess.run(command[:-1], cwd=ROOT, capture_output=True, text=True, check=False)
    assert short.returncode != 0
    assert "usage" in short.stderr
