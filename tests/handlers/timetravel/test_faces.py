"""Finding faces: with dlib where it is installed, with a stand-in for its decisions, and which."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlers.runtime.errors import Unprocessable
from handlers.runtime.weights import WeightsError
from handlers.timetravel.align import align
from handlers.timetravel.faces import PREDICTOR, PREDICTOR_PACKAGE, face_finder, find_predictor
from handlers.timetravel.pack import FACES, MEDIAPIPE
from tests.handlers.timetravel.support import GOLDEN

PICTURE = Image.new("RGB", (320, 240))
needs_dlib = pytest.mark.skipif(
    find_spec("dlib") is None or find_predictor(Path()) is None,
    reason="dlib or its landmark model is not installed (the extra: faces)",
)


class StandIn(ModuleType):
    """dlib with faces of given certainties; a face's landmarks tell its certainty."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__("dlib")
        self.__spec__ = ModuleSpec("dlib", None)
        self.scores = scores
        self.runs: list[tuple[int, float]] = []

    def get_frontal_face_detector(self) -> Any:
        return SimpleNamespace(run=self.run)

    def run(self, pixels: Any, doublings: int, threshold: float) -> Any:
        assert pixels.shape == (240, 320, 3)
        self.runs.append((doublings, threshold))
        return list(self.scores), self.scores, [0] * len(self.scores)

    def shape_predictor(self, path: str) -> Any:
        if Path(path).read_bytes() != b"model":
            raise RuntimeError("unexpected end of file")
        return lambda pixels, box: SimpleNamespace(parts=lambda: [SimpleNamespace(x=box, y=0)] * 68)


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    (tmp_path / PREDICTOR).write_bytes(b"model")
    return tmp_path


def stand_in(monkeypatch: pytest.MonkeyPatch, *scores: float) -> StandIn:
    made = StandIn([*scores])
    monkeypatch.setitem(sys.modules, "dlib", made)
    return made


def test_the_most_certain_face_is_taken(monkeypatch: pytest.MonkeyPatch, model_dir: Path) -> None:
    dlib = stand_in(monkeypatch, 0.1, 1.2, 0.5)
    find = face_finder(model_dir)
    assert [find(PICTURE, index)[0, 0] for index in (0, 1, 2)] == [1.2, 0.5, 0.1]
    assert find(PICTURE, 0).shape == (68, 2)
    assert dlib.runs[0] == (1, 0.0)


def test_a_face_that_is_not_there(monkeypatch: pytest.MonkeyPatch, model_dir: Path) -> None:
    stand_in(monkeypatch, 0.1, 1.2)
    with pytest.raises(Unprocessable, match="face is 2, but 2 were found; expected 0 to 1"):
        face_finder(model_dir)(PICTURE, 2)


def test_no_face_at_all(monkeypatch: pytest.MonkeyPatch, model_dir: Path) -> None:
    stand_in(monkeypatch)
    with pytest.raises(Unprocessable, match=r"no face .* 320 x 240 pixels.*align=false"):
        face_finder(model_dir)(PICTURE, 0)


def test_with_nothing_to_find_faces_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, model_dir: Path
) -> None:
    monkeypatch.setattr("handlers.timetravel.faces.find_spec", lambda name: None)
    find = face_finder(model_dir)
    with pytest.raises(Unprocessable, match=r"build it again.*pip install dlib-bin.*align=false"):
        find(PICTURE, 0)


@pytest.mark.parametrize("missing", ["dlib", "predictor"])
def test_without_dlib_mediapipe_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    for name in MEDIAPIPE:
        (tmp_path / name).symlink_to(FACES / name)
    if missing == "dlib":
        (tmp_path / PREDICTOR).write_bytes(b"model")
        monkeypatch.setattr("handlers.timetravel.faces.find_spec", lambda name: None)
    else:
        stand_in(monkeypatch, 1.0)
        monkeypatch.setattr("handlers.timetravel.faces.find_predictor", lambda folder: None)
    with Image.open(GOLDEN / "align" / "frontal.png") as stored:
        assert face_finder(tmp_path)(stored.convert("RGB"), 0).shape == (68, 2)


def test_a_damaged_landmark_model_fails_when_loading(
    monkeypatch: pytest.MonkeyPatch, model_dir: Path
) -> None:
    stand_in(monkeypatch, 1.0)
    (model_dir / PREDICTOR).write_bytes(b"mod")
    with pytest.raises(WeightsError, match=rf"{PREDICTOR}: dlib cannot read.*unexpected end"):
        face_finder(model_dir)


def test_the_package_is_found_but_not_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "site" / PREDICTOR_PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('needs pkg_resources')")
    (package / "models" / PREDICTOR).write_bytes(b"model")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert find_predictor(tmp_path) == package / "models" / PREDICTOR
    (tmp_path / PREDICTOR).write_bytes(b"the archive's own")
    assert find_predictor(tmp_path) == tmp_path / PREDICTOR


@needs_dlib
def test_dlib_finds_what_the_original_found() -> None:
    case = json.loads((GOLDEN / "align" / "cases.json").read_text())["frontal_dlib"]
    with Image.open(GOLDEN / "align" / "frontal.png") as stored:
        picture = stored.convert("RGB")
    landmarks = face_finder(Path())(picture, 0)
    np.testing.assert_array_equal(landmarks, case["landmarks"])
    with Image.open(GOLDEN / "align" / "frontal_dlib_aligned.png") as expected:
        assert np.array_equal(np.asarray(align(picture, landmarks)), np.asarray(expected))


@needs_dlib
def test_dlib_finds_no_face_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    with pytest.raises(Unprocessable, match="no face was found"):
        face_finder(Path())(Image.fromarray(noise), 0)
