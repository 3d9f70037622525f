import io
import json

import numpy as np
import pytest
from PIL import Image

from handlers.runtime.errors import NotAcceptable
from handlers.runtime.result import LARGEST_JPEG_SIDE, Result

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def test_a_picture_in_every_type() -> None:
    result = Result(image=PICTURE)
    assert np.array_equal(json.loads(result.encode("application/json")), PICTURE)
    assert np.array_equal(np.load(io.BytesIO(result.encode("application/x-npy"))), PICTURE)
    png = Image.open(io.BytesIO(result.encode("image/png")))
    assert np.array_equal(np.asarray(png), PICTURE)
    assert Image.open(io.BytesIO(result.encode("image/jpeg"))).format == "JPEG"


def test_own_json_and_array_come_first() -> None:
    result = Result(json={"a": 1}, array=np.ones(2), image=PICTURE)
    assert result.encode("application/json") == b'{"a":1}'
    assert np.load(io.BytesIO(result.encode("application/x-npy"))).tolist() == [1, 1]


@pytest.mark.parametrize("media", ["image/png", "application/x-npy", "text/csv"])
def test_a_form_that_is_not_there_is_our_own_fault(media: str) -> None:
    with pytest.raises(LookupError):
        Result(json={}).encode(media)


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Result(json=float("nan")).encode("application/json")


@pytest.mark.parametrize("shape", [(2, LARGEST_JPEG_SIDE + 1, 3), (LARGEST_JPEG_SIDE + 1, 2)])
def test_a_picture_too_long_for_jpeg_is_refused_with_what_would_do(shape: tuple[int, ...]) -> None:
    result = Result(image=np.zeros(shape, np.uint8))
    with pytest.raises(NotAcceptable, match="at most 65500 a side; ask for image/png"):
        result.encode("image/jpeg")
    assert result.encode("image/png")
    longest = np.zeros((2, LARGEST_JPEG_SIDE, 3), np.uint8)
    assert Result(image=longest).encode("image/jpeg")
