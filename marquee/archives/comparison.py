"""Whether two answers say the same, numbers within a tolerance.

Devices, number formats and numbers of threads change the last digits of an answer, and now and
then one pixel at an edge; another network changes everything. So one number in a hundred may be
off by any amount, and the others by the tolerance only.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JSON = "application/json"
NPY = "application/x-npy"
CSV = "text/csv"
PICTURES = ("image/png", "image/jpeg")
# Of all numbers of an array or a picture; none of fewer than this many.
ONE_OFF_IN = 100
SHOWN = 60

Array: TypeAlias = NDArray[Any]


def media_type(content_type: str) -> str:
    """Return a Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def spread(kind: str, body: bytes) -> float:
    """Return what a tolerance of 1 means for an answer: see ``GoldenRequest.tolerance``."""
    if media_type(kind) in PICTURES:
        return 255.0
    if media_type(kind) != NPY:
        return 1.0
    array = np.asarray(_npy(body), np.float64)
    finite = array[np.isfinite(array)]
    if not finite.size:
        return 1.0
    return float(np.ptp(finite)) or max(float(np.abs(finite).max()), 1.0)


def difference(kind: str, expected: bytes, found: bytes, tolerance: float) -> str | None:
    """Return in words how two answers of one type differ, or None if they do not.

    Args:
        kind: their Content-Type.
        expected: what it should be.
        found: what it is.
        tolerance: absolute, of each number of an array or grey level of a picture; in JSON and
            CSV relative to the largest of the numbers in the same list, or in the same object
            if it holds nothing else, and of a number that stands alone to itself, at least 1.
    """
    if expected == found:
        return None
    media = media_type(kind)
    try:
        return _difference(media, expected, found, tolerance)
    # Pillow's PNG reader raises the last but one, deeply nested JSON the last.
    except (ValueError, OverflowError, OSError, SyntaxError, RecursionError) as error:
        return f"an answer cannot be read as {media}: {' '.join(str(error).split())[:200]}"


def _difference(media: str, expected: bytes, found: bytes, tolerance: float) -> str | None:
    if media in PICTURES:
        return _numbers(_pixels(expected), _pixels(found), tolerance, "the picture")
    if media == NPY:
        return _numbers(_npy(expected), _npy(found), tolerance, "the array")
    if media == JSON or media.endswith("+json"):
        return _values(json.loads(expected), json.loads(found), tolerance, "the answer")
    if media == CSV:
        return _values(_csv(expected), _csv(found), tolerance, "the table")
    return f"the {len(found)} bytes of {media or 'no type'} are not the {len(expected)} expected"


def _npy(body: bytes) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    return array


def _pixels(body: bytes) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return np.asarray(Image.open(io.BytesIO(body), formats=("PNG", "JPEG")))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(str(error)) from error


def _csv(body: bytes) -> list[list[float | str]]:
    return [[_cell(cell) for cell in line.split(",")] for line in body.decode().splitlines()]


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _numbers(expected: Array, found: Array, tolerance: float, where: str) -> str | None:
    if expected.shape != found.shape:
        return f"{where} is {found.shape}, expected {expected.shape}"
    if expected.dtype.kind not in "biuf" or found.dtype.kind not in "biuf":
        return f"{where} is made of {found.dtype}, expected {expected.dtype}"
    left, right = expected.astype(np.float64), found.astype(np.float64)
    if not np.array_equal(np.isfinite(left), np.isfinite(right)):
        return f"{where} has NaN or infinite values at other places than expected"
    finite = np.isfinite(left)
    off = np.abs(left[finite] - right[finite])
    wrong = int((off > tolerance).sum())
    if wrong <= off.size // ONE_OFF_IN:
        return None
    return (
        f"{where} is off by up to {off.max():.4g}, and {wrong} of {off.size} numbers by more than "
        f"{tolerance:.4g}"
    )


def _values(expected: Any, found: Any, tolerance: float, where: str) -> str | None:
    """Compare JSON values; ``where`` is their path for the message."""
    if _is_number(expected) and _is_number(found):
        return _group([expected], [found], tolerance, where, least=1.0)
    if isinstance(expected, dict) and isinstance(found, dict):
        return _objects(expected, found, tolerance, where)
    if isinstance(expected, list) and isinstance(found, list):
        return _lists(expected, found, tolerance, where)
    if type(expected) is type(found) and (
        expected == found or _same_picture(expected, found, tolerance)
    ):
        return None
    return f"{where} is {_short(found)}, expected {_short(expected)}"


def _objects(
    expected: dict[str, Any], found: dict[str, Any], tolerance: float, where: str
) -> str | None:
    if expected.keys() != found.keys():
        return f"{where} has the fields {_short(sorted(found))}, expected {sorted(expected)}"
    if all(_is_number(value) for value in (*expected.values(), *found.values())):
        return _group([*expected.values()], [found[k] for k in expected], tolerance, where)
    return _first(_values(expected[k], found[k], tolerance, f"{where}.{k}") for k in expected)


def _lists(expected: list[Any], found: list[Any], tolerance: float, where: str) -> str | None:
    if len(expected) != len(found):
        return f"{where} has {len(found)} items, expected {len(expected)}"
    if _is_array(expected) and _is_array(found):
        return _group(expected, found, tolerance, where)
    pairs = enumerate(zip(expected, found, strict=True))
    return _first(_values(a, b, tolerance, f"{where}[{i}]") for i, (a, b) in pairs)


def _group(
    expected: list[Any], found: list[Any], tolerance: float, where: str, least: float = 0.0
) -> str | None:
    left, right = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    scale = max(float(np.abs(left).max(initial=0.0)), least)
    return _numbers(left, right, tolerance * scale, where)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_array(value: list[Any]) -> bool:
    """Tell whether nested lists hold numbers only, in equal rows."""
    try:
        array = np.asarray(value)
    except ValueError:
        return False
    return array.dtype.kind in "iuf" and array.size > 0


def _same_picture(expected: Any, found: Any, tolerance: float) -> bool:
    """Tell whether two texts are base64 of pictures that are alike."""
    if not isinstance(expected, str) or len(expected) < ONE_OFF_IN:
        return False
    try:
        files = [base64.b64decode(text, validate=True) for text in (expected, found)]
        return _numbers(_pixels(files[0]), _pixels(files[1]), tolerance * 255, "") is None
    except (binascii.Error, ValueError, OSError, SyntaxError):
        return False


def _first(problems: Any) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
