from __future__ import annotations

from pathlib import Path

import pytest
import torch

from handlers.runtime.weights import WeightsError
from handlers.timetravel import faces, mesh, pack
from tests.handlers.timetravel.support import content, tiny


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weight file in a project that has no landmark model yet."""
    monkeypatch.setattr(pack, "USER_WEIGHTS", tmp_path / "weights")
    path = tmp_path / "weights" / "timetravel" / "1.0" / "sam_ffhq_aging.pt"
    path.parent.mkdir(parents=True)
    torch.save(content(tiny()), path)
    return path


def test_the_name_is_the_one_that_serving_looks_for() -> None:
    assert pack.PREDICTOR == faces.PREDICTOR
    assert set(pack.MEDIAPIPE) == {mesh.DETECTOR, mesh.LANDMARKS}


def test_what_finds_faces_is_always_packed(weights: Path, tmp_path: Path) -> None:
    found = [pack.FACES / name for name in pack.MEDIAPIPE]
    assert pack.inputs(weights) == [weights, *found]
    out = tmp_path / "out"
    out.mkdir()
    assert pack.pack(weights, out) == out / weights.name
    assert {path.name for path in out.iterdir()} == {weights.name, *pack.MEDIAPIPE}


def test_the_nearest_landmark_model_is_packed(weights: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "weights", tmp_path / "weights" / "timetravel", weights.parent]
    for number, folder in enumerate(folders):
        (folder / pack.PREDICTOR).write_bytes(f"model {number}".encode())
        assert pack.inputs(weights)[1] == folder / pack.PREDICTOR
    out = tmp_path / "out"
    out.mkdir()
    pack.pack(weights, out)
    assert (out / pack.PREDICTOR).read_bytes() == b"model 2"
    assert (out / weights.name).read_bytes() == weights.read_bytes()


def test_weights_that_are_no_numbers_are_told_now(weights: Path, tmp_path: Path) -> None:
    saved = content(tiny())
    saved["state_dict"]["decoder.conv1.conv.weight"][0] = float("nan")
    torch.save(saved, weights)
    with pytest.raises(WeightsError, match=r"NaN or infinite.*decoder\.conv1\.conv\.weight"):
        pack.pack(weights, tmp_path)
