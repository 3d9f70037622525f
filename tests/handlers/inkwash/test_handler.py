"""What inkwash refuses to paint, and in what time."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from handlers.inkwash import handler as module
from handlers.inkwash.handler import PAINTED_PIXELS, InkwashHandler, painted_pixels_of
from handlers.runtime.settings import SettingsError
from tests.handlers.loading import answers, load, prediction
from tests.support import ROOT

EXAMPLE = ROOT / "handlers" / "inkwash" / "example.jpg"
WEIGHTS = ROOT / "handlers" / "inkwash" / "demo" / "latest_net_G.pth"


def flat(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(stream, "PNG")
    return stream.getvalue()


def picture(body: bytes) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(body)) as opened:
        return np.asarray(opened).astype(np.int16)


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


def test_a_batch_is_painted_one_by_one_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = load(InkwashHandler(), WEIGHTS, marquee={"max_batch": 8})
    sizes: list[int] = []
    layer = handler.network.get_submodule("model.0")
    hook = layer.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    photo = EXAMPLE.read_bytes()
    requests = [prediction(photo, x_marquee_size="64", accept="image/png") for _ in range(3)]
    alone = [answer.body for answer in answers(handler, *requests)]
    assert sizes == [1, 1, 1]
    sizes.clear()
    monkeypatch.setattr(module, "at_once", lambda device, pixels: 2)
    requests = [prediction(photo, x_marquee_size="64", accept="image/png") for _ in range(3)]
    together = [answer.body for answer in answers(handler, *requests)]
    hook.remove()
    assert sizes == [2, 1]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(picture(one) - picture(other)).max() <= 1


def test_a_network_that_leaves_half_precisions_range_paints_nothing() -> None:
    handler = load(InkwashHandler(), WEIGHTS, marquee={"precision": "bf16"})
    last = handler.network.get_submodule("model.26").get_parameter("bias")
    with torch.no_grad():
        last.fill_(float("nan"))
    (answer,) = answers(handler, prediction(flat(32, 32), x_marquee_size="16"))
    assert answer.status == 500
    assert b"it runs in bf16" in answer.body
    assert b"marquee.precision to fp32" in answer.body
