"""Find faces and their 68 landmarks: with dlib where it is there, else with MediaPipe's networks.

The original looks with dlib, which is no part of a stock installation and whose landmark model
excludes commercial use: both are looked for when the model loads. MediaPipe's networks are in
every archive (:mod:`handlers.timetravel.pack`).
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handlers.runtime.errors import Unprocessable
from handlers.runtime.weights import WeightsError
from handlers.timetravel.align import Floats
from handlers.timetravel.mesh import DETECTOR, LANDMARKS, MeshFinder
from handlers.timetravel.missing import INSTEAD, check_face

logger = logging.getLogger(__name__)

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
# The package that brings the predictor; its code needs setuptools' old pkg_resources, so
# its file is taken without importing it.
PREDICTOR_PACKAGE = "face_recognition_models"
# The picture is doubled first: faces down to 40 pixels are found.
DOUBLINGS = 1

# From a picture and an index, 0 for the most certain face, to landmarks (68, 2).
Finder = Callable[[Image.Image, int], Floats]


def face_finder(model_dir: Path) -> Finder:
    """Return what finds faces here.

    Where nothing does, that is something that says so.

    Raises:
        WeightsError: a landmark model is damaged.
    """
    predictor = find_predictor(model_dir)
    if predictor is not None and find_spec("dlib") is not None:
        logger.info("faces are looked for with dlib, by %s", predictor)
        return DlibFinder(predictor).landmarks
    if all((model_dir / name).is_file() for name in (DETECTOR, LANDMARKS)):
        logger.info("faces are looked for with MediaPipe's networks")
        return MeshFinder(model_dir).landmarks
    return _absent()


def find_predictor(model_dir: Path) -> Path | None:
    """Return dlib's landmark model: the archive's own, or the installed package's."""
    folders = [model_dir]
    package = find_spec(PREDICTOR_PACKAGE)
    if package is not None and package.submodule_search_locations:
        folders += [Path(folder) / "models" for folder in package.submodule_search_locations]
    return next((folder / PREDICTOR for folder in folders if (folder / PREDICTOR).is_file()), None)


def _absent() -> Finder:
    reason = (
        f"its archive has no {DETECTOR} and {LANDMARKS} (build it again), and dlib is not "
        f"installed (pip install dlib-bin {PREDICTOR_PACKAGE}, or {PREDICTOR} in the archive)"
    )
    logger.warning("faces are not looked for: %s", reason)

    def refuse(image: Image.Image, index: int) -> Floats:
        raise Unprocessable(f"this server cannot look for faces: {reason}; {INSTEAD}")

    return refuse


class DlibFinder:
    """dlib's frontal detector and its 68-point landmark model."""

    def __init__(self, predictor: Path) -> None:
        dlib: Any = importlib.import_module("dlib")
        self._detector = dlib.get_frontal_face_detector()
        try:
            self._predictor = dlib.shape_predictor(str(predictor))
        except RuntimeError as error:
            raise WeightsError(
                f"{predictor}: dlib cannot read its landmark model ({error}); copy it again"
            ) from error

    def landmarks(self, image: Image.Image, index: int) -> Floats:
        """Return the landmarks (68, 2), x and y in pixels, of one face in an RGB picture.

        Args:
            image: RGB.
            index: 0 for the most certain face, 1 for the next.

        Raises:
            Unprocessable: there is no such face.
        """
        pixels = np.array(image)
        boxes, scores, _ = self._detector.run(pixels, DOUBLINGS, 0.0)
        check_face(image, index, len(boxes))
        chosen = sorted(range(len(boxes)), key=lambda i: -scores[i])[index]
        shape = self._predictor(pixels, boxes[chosen])
        return np.array([(point.x, point.y) for point in shape.parts()], np.float64)
