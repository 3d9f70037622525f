"""A photo in the bucket becomes a painting in it."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shared
from tests.deploy.endpoints import Asked, Said
from tests.deploy.stage import Stage
from tests.support import GOLDEN

PHOTO = (GOLDEN / "inkwash" / "landscape.jpg").read_bytes()
EXPECTED = Image.open(GOLDEN / "inkwash" / "landscape_expected.png")
NAME = "stage-inkwash"
PAINTING, ERROR = "public/output/output_photo.jpeg", "public/output/output_photo.error.json"


def jpeg() -> bytes:
    out = io.BytesIO()
    EXPECTED.save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def answering(stage: Stage) -> Stage:
    stage.endpoints.containers[NAME] = lambda asked: Said(jpeg(), "image/jpeg")
    return stage


def upload(stage: Stage, data: bytes = PHOTO, **more: Any) -> dict[str, Any]:
    return stage.put("InkwashBucket", "public/input/photo.jpg", data, **more)


def test_a_photo_is_painted(answering: Stage) -> None:
    answering.run("Inkwash", upload(answering))
    assert answering.get("InkwashBucket", PAINTING) == jpeg()
    accept = "image/jpeg, application/json;q=0.5"
    assert answering.endpoints.asked == [Asked(NAME, PHOTO, "image/*", accept)]


def test_the_originals_list_of_numbers_is_painted_as_well(stage: Stage) -> None:
    numbers = json.dumps(np.asarray(EXPECTED).tolist()).encode()
    stage.endpoints.containers[NAME] = lambda asked: Said(numbers)
    stage.run("Inkwash", upload(stage))
    assert stage.get("InkwashBucket", PAINTING) == jpeg()


def test_an_event_that_comes_twice_is_painted_once(answering: Stage) -> None:
    event = upload(answering)
    for _ in range(2):
        answering.run("Inkwash", event)
    assert len(answering.endpoints.asked) == 1


def test_a_new_photo_of_the_same_name_is_painted(answering: Stage) -> None:
    answering.run("Inkwash", upload(answering, at=1))
    answering.run("Inkwash", upload(answering, PHOTO + b"\0", at=2))
    assert [asked.body for asked in answering.endpoints.asked] == [PHOTO, PHOTO + b"\0"]


def test_the_event_of_an_older_photo_comes_too_late(answering: Stage) -> None:
    old, new = upload(answering, at=1), upload(answering, PHOTO + b"\0", at=2)
    answering.run("Inkwash", new)
    answering.run("Inkwash", old)
    assert len(answering.endpoints.asked) == 1


def test_a_name_that_s3_writes_in_its_own_way(answering: Stage) -> None:
    event = answering.put("InkwashBucket", "public/input/my côte d'azur.jpg", PHOTO)
    answering.run("Inkwash", event)
    assert answering.keys("InkwashBucket", "public/output/") == [
        "public/output/output_my côte d'azur.jpeg"
    ]


def test_a_painting_is_never_painted(answering: Stage) -> None:
    answering.run("Inkwash", answering.put("InkwashBucket", PAINTING, jpeg()))
    assert not answering.endpoints.asked


def test_a_models_refusal_is_told_beside_the_paintings(stage: Stage) -> None:
    stage.endpoints.containers[NAME] = lambda asked: Said(b'{"message": "no image"}', status=400)
    stage.run("Inkwash", upload(stage))
    told = json.loads(stage.get("InkwashBucket", ERROR))
    assert told == {"key": "public/input/photo.jpg", "code": 400, "message": "no image"}
    assert not stage.keys("InkwashBucket", PAINTING)


def test_a_photo_over_the_limit(answering: Stage) -> None:
    answering.run("Inkwash", upload(answering, bytes(6_300_000)))
    assert json.loads(answering.get("InkwashBucket", ERROR))["code"] == 413


def test_what_may_pass_is_raised_and_tried_again(stage: Stage) -> None:
    event = upload(stage)
    stage.endpoints.containers[NAME] = lambda asked: Said(b"out of memory", status=507)
    with pytest.raises(shared.Problem, match="out of memory"):
        stage.run("Inkwash", event)
    assert stage.keys("InkwashBucket", ERROR), "the reason is told, should no other try follow"
    stage.endpoints.containers[NAME] = lambda asked: Said(jpeg(), "image/jpeg")
    stage.run("Inkwash", event)
    assert stage.keys("InkwashBucket", "public/output/") == [PAINTING]


def test_an_answer_that_is_no_picture(stage: Stage) -> None:
    stage.endpoints.containers[NAME] = lambda asked: Said(b'{"label": "ship"}')
    stage.run("Inkwash", upload(stage))
    assert "is no picture" in json.loads(stage.get("InkwashBucket", ERROR))["message"]
