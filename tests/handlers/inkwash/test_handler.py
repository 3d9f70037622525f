"""What inkwash refuses to paint, and in what time."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from PIL import Image

from handlers.inkwash.handler import PAINTED_PIXELS, InkwashHandler, painted_pixels_of
from handlers.runtime.settings import SettingsError
from tests.handlers.loading import answers, load, prediction
from tests.support import ROOT

WEIGHTS = ROOT / "handlers" / "inkwash" / "demo" / "latest_net_G.pth"


def flat(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def handler() -> InkwashHandler:
    return load(InkwashHandler(), WEIGHTS)


@pytest.mark.slow
def test_a_large_photo_is_painted_small_and_refused_large(handler: InkwashHandler) -> None:
    photo = flat(8000, 7900)
    assert len(photo) < 250_000
    start = time.monotonic()
    small, own, large = answers(
        handler,
        prediction(photo, x_marquee_size="16", accept="image/png"),
        prediction(photo, x_marquee_size="0"),
        prediction(photo, x_marquee_size="8192"),
    )
    assert time.monotonic() - start < 120
    assert [one.status for one in (small, own, large)] == [200, 413, 413]
    assert b"25000000 are painted" in own.body
    assert b"painted_pixels" in large.body


def test_the_largest_painting_is_a_setting(tmp_path: Path) -> None:
    assert painted_pixels_of({}) == PAINTED_PIXELS
    narrow = load(InkwashHandler(), WEIGHTS, marquee={"options": {"painted_pixels": 300}})
    fits, large = answers(
        narrow,
        prediction(flat(32, 32), x_marquee_size="16"),
        prediction(flat(32, 32), x_marquee_size="20"),
    )
    assert [fits.status, large.status] == [200, 413]
    for options in ({"painted": 3}, {"painted_pixels": 0}, {"painted_pixels": "many"}):
        with pytest.raises(SettingsError, match="painted"):
            painted_pixels_of(options)
