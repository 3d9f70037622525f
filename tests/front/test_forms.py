"""A file that curl calls a web form never reaches TorchServe, which would repeat it in a 500."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image

from marquee.front.settings import FrontSettings
from tests.front.behind import behind

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def picture(kind: str, side: int = 64) -> bytes:
    sink = io.BytesIO()
    Image.effect_noise((side, side), 80).save(sink, kind)
    return sink.getvalue()


def post(settings: FrontSettings, body: bytes, path: str = "/predictions/m") -> httpx.Response:
    return httpx.post(
        settings.inference_address + path, content=body, headers=FORM, trust_env=False
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(picture("JPEG"), id="jpeg"),
        pytest.param(picture("JPEG", 2000), id="large jpeg"),
        pytest.param(picture("PNG"), id="png"),
        pytest.param(picture("TIFF"), id="tiff"),
        pytest.param(picture("PPM"), id="ppm"),
        pytest.param("naïve".encode(), id="utf-8"),
        pytest.param(b"100% sure", id="bad escape"),
        pytest.param(b"a%%41", id="doubled"),
        pytest.param(b"a=%", id="cut off"),
    ],
)
def test_what_is_no_form_is_refused_with_advice(lone_door: FrontSettings, body: bytes) -> None:
    with behind(lone_door.inference_socket):
        for path in ("/predictions/m", "/invocations", "/explanations/m"):
            answer = post(lone_door, body, path)
            assert answer.status_code == 415
            assert answer.json()["type"] == "UnsupportedMediaTypeException"
            assert "-T FILE" in answer.json()["message"]


@pytest.mark.parametrize(
    "body", [b"image=AAAA%2B&top_k=3", b"", b'{"image": "AAAA"}', b"a=%41" * 50000]
)
def test_a_form_goes_to_the_model(lone_door: FrontSettings, body: bytes) -> None:
    with behind(lone_door.inference_socket):
        assert post(lone_door, body).json()["bytes"] == len(body)


def test_a_picture_with_its_own_type_goes_to_the_model(lone_door: FrontSettings) -> None:
    body = picture("JPEG")
    with behind(lone_door.inference_socket):
        url = f"{lone_door.inference_address}/predictions/m"
        for headers in ({}, {"Content-Type": "image/jpeg"}):
            answer = httpx.post(url, content=body, headers=headers, trust_env=False)
            assert answer.json()["bytes"] == len(body)
