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

from marquee.archives.manifest import one_line, short_repr
from marquee.media import JSON, media_type

NPY = "application/x-npy"
CSV = "text/csv"
PICTURES = ("image/png", "image/jpeg")
# Of all numbers of an array or a picture; none of fewer than this many.
ONE_OFF_IN = 100

Array: TypeAlias = NDArray[Any]


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


def difference(kind: str, expected: bytes, actual: bytes, tolerance: float) -> str | None:
    """Return in words how two answers of one type differ, or None if they do not.

    Args:
        kind: their Content-Type.
        tolerance: absolute, of each number of an array or grey level of a picture; in JSON and
            CSV relative to the largest of the numbers in the same list, or in the same object
            if it holds nothing else, and of a number that stands alone to itself, at least 1.
    """
    if expected == actual:
        return None
    media = media_type(kind)
    try:
        return _difference(media, expected, actual, tolerance)
    # Pillow's PNG reader raises the last but one, deeply nested JSON the last.
    except (ValueError, OverflowError, OSError, SyntaxError, RecursionError) as error:
        return f"an answer cannot be read as {media}: {one_line(error)}"


def _difference(media: str, expected: bytes, actual: bytes, tolerance: float) -> str | None:
    if media in PICTURES:
        return _numbers(_pixels(expected), _pixels(actual), tolerance, "the picture")
    if media == NPY:
        return _numbers(_npy(expected), _npy(actual), tolerance, "the array")
    if media == JSON or media.endswith("+json"):
        return _values(json.loads(expected), json.loads(actual), tolerance, "the answer")
    if media == CSV:
        return _values(_csv(expected), _csv(actual), tolerance, "the table")
    return f"the {len(actual)} bytes of {media or 'no type'} are not the {len(expected)} expected"


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


def _numbers(expected: Array, actual: Array, tolerance: float, where: str) -> str | None:
    if expected.shape != actual.shape:
        return f"{where} is {actual.shape}, expected {expected.shape}"
    if expected.dtype.kind not in "biuf" or actual.dtype.kind not in "biuf":
        return f"{where} is made of {actual.dtype}, expected {expected.dtype}"
    left, right = expected.astype(np.float64), actual.astype(np.float64)
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


def _values(expected: Any, actual: Any, tolerance: float, where: str) -> str | None:
    """Compare JSON values; ``where`` is their path for the message."""
    if _is_number(expected) and _is_number(actual):
        return _group([expected], [actual], tolerance, where, least=1.0)
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _objects(expected, actual, tolerance, where)
    if isinstance(expected, list) and isinstance(actual, list):
        return _lists(expected, actual, tolerance, where)
    if type(expected) is type(actual) and (
        expected == actual or _same_picture(expected, actual, tolerance)
    ):
        return None
    return f"{where} is {short_repr(actual)}, expected {short_repr(expected)}"


def _objects(
    expected: dict[str, Any], actual: dict[str, Any], tolerance: float, where: str
) -> str | None:
    if expected.keys() != actual.keys():
        return f"{where} has the fields {short_repr(sorted(actual))}, expected {sorted(expected)}"
    if all(_is_number(value) for value in (*expected.values(), *actual.values())):
        return _group([*expected.values()], [actual[k] for k in expected], tolerance, where)
    problems = (_values(expected[k], actual[k], tolerance, f"{where}.{k}") for k in expected)
    return next(filter(None, problems), None)


def _lists(expected: list[Any], actual: list[Any], tolerance: float, where: str) -> str | None:
    if len(expected) != len(actual):
        return f"{where} has {len(actual)} items, expected {len(expected)}"
    if _is_array(expected) and _is_array(actual):
        return _group(expected, actual, tolerance, where)
    pairs = enumerate(zip(expected, actual, strict=True))
    problems = (_values(a, b, tolerance, f"{where}[{i}]") for i, (a, b) in pairs)
    return next(filter(None, problems), None)


def _group(
    expected: list[Any], actual: list[Any], tolerance: float, where: str, least: float = 0.0
) -> str | None:
    left, right = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
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


def _same_picture(expected: Any, actual: Any, tolerance: float) -> bool:
    """Tell whether two texts are base64 of pictures that are alike."""
    if not isinstance(expected, str) or len(expected) < ONE_OFF_IN:
        return False
    try:
        files = [base64.b64decode(text, validate=True) for text in (expected, actual)]
        return _numbers(_pixels(files[0]), _pixels(files[1]), tolerance * 255, "") is None
    except (binascii.Error, ValueError, OSError, SyntaxError):
        return False
