"""What goes into an archive: weights, networks that find faces, dlib's landmark model if there."""

from __future__ import annotations

import shutil
from pathlib import Path

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
MEDIAPIPE = ("face_detection_full_range.tflite", "face_landmark.tflite")
FACES = Path(__file__).parent / "mediapipe"
USER_WEIGHTS = Path(__file__).parents[2] / "weights"


def inputs(weights: Path) -> list[Path]:
    """Return every file that goes into the archive, the weights first.

    dlib's landmark model is looked for beside the weights, in ``weights/timetravel/`` and in
    ``weights/``; where there is none, the one of an installed package is used when serving.
    """
    folders = [weights.parent, USER_WEIGHTS / "timetravel", USER_WEIGHTS]
    candidates = (folder / PREDICTOR for folder in folders if (folder / PREDICTOR).is_file())
    own = [path] if (path := next(candidates, None)) else []
    return [weights, *own, *(FACES / name for name in MEDIAPIPE)]


def pack(weights: Path, out: Path) -> Path:
    """Put the files of an archive into ``out``; return the weights there.

    Raises:
        WeightsError: a weight is no number. Workers map the file and do not read it through.
    """
    from handlers.runtime.weights import check_finite  # noqa: PLC0415 - loads torch
    from handlers.timetravel.checkpoint import load_network  # noqa: PLC0415

    check_finite(load_network(weights), weights)
    for path in inputs(weights):
        shutil.copyfile(path, out / path.name)
    return out / weights.name
