"""Every name that an archive may have works on every way to a model; others are no models."""

from __future__ import annotations

import httpx
import pytest

from marquee.front.settings import FrontSettings
from tests.front.behind import behind

NAME, VERSION = "2-a.b_C", "1.0-rc_1"


def asked(door: FrontSettings, path: str, **headers: str) -> httpx.Response:
    with behind(door.inference_socket):
        url = door.inference_address + path
        return httpx.post(url, content=b"x", headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        (f"/predictions/{NAME}", f"/predictions/{NAME}"),
        (f"/predictions/{NAME}/{VERSION}", f"/predictions/{NAME}/{VERSION}"),
        (f"/explanations/{NAME}/{VERSION}", f"/explanations/{NAME}/{VERSION}"),
        (f"/models/{NAME}/invoke", f"/predictions/{NAME}"),
        (f"/invocations?model={NAME}", f"/predictions/{NAME}"),
        ("/invocations?model=2%2Da%2Eb%5FC", f"/predictions/{NAME}"),
        ("/models/2%2Da%2Eb%5FC/invoke", f"/predictions/{NAME}"),
        (
            f"/invocations?model_name={NAME}&model_version={VERSION}",
            f"/predictions/{NAME}/{VERSION}",
        ),
    ],
)
def test_a_name_works_on_every_way(lone_door: FrontSettings, path: str, arrives: str) -> None:
    assert asked(lone_door, path).json()["path"].rstrip("?") == arrives


def test_a_name_in_sagemakers_attributes(lone_door: FrontSettings) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": f"trace=1;model={NAME}"}
    assert asked(lone_door, "/invocations", **headers).json()["path"] == f"/predictions/{NAME}"


@pytest.mark.parametrize(
    "path",
    [
        "/predictions/a%20b",
        "/predictions/a%2Fb",
        "/predictions/a%00b",
        "/predictions/a/1%230",
        "/models/a%3Fb/invoke",
        "/models/m%C3%BCll/invoke",
        "/invocations?model=a%20b",
        "/invocations?model=a&model_version=1%2F0",
        "/invocations?model=..%2F..%2Fmodels",
    ],
)
def test_another_name_is_no_model(lone_door: FrontSettings, path: str) -> None:
    answer = asked(lone_door, path)
    assert answer.status_code == 404
    assert answer.json()["type"] == "ModelNotFoundException"


@pytest.mark.parametrize("name", ["m\u00fcll", "\u00fcm", "m/x", "m%23", '"m"'])
def test_another_name_in_sagemakers_attributes_is_not_cut_to_one_that_is(
    lone_door: FrontSettings, name: str
) -> None:
    headers = {b"X-Amzn-SageMaker-Custom-Attributes": f"top_k=1;model={name}".encode()}
    with behind(lone_door.inference_socket):
        answer = httpx.post(
            lone_door.inference_address + "/invocations", headers=headers, trust_env=False
        )
    assert answer.status_code == 404
    assert answer.json()["type"] == "ModelNotFoundException"


def test_our_own_questions_are_told_apart(lone_door: FrontSettings) -> None:
    answer = asked(lone_door, "/predictions/m/1.0?asked_by=marquee&top_k=3").json()
    assert answer["path"] == "/predictions/m/1.0?asked_by=marquee"
    assert answer["headers"]["x-marquee-top-k"] == "3"
    assert "x-marquee-asked-by" not in answer["headers"]
    other = asked(lone_door, "/predictions/m/1.0?asked_by=me").json()
    assert other["headers"]["x-marquee-asked-by"] == "me"
