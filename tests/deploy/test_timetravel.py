"""The way of a job, from the upload to its pictures, and the requests about it."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.deploy.jobs import FACE, after, get, job, settle_all, strip, submit, upload
from tests.deploy.stage import Stage
from timetravel import table


def test_an_upload_becomes_five_pictures(answering: Stage) -> None:
    submit(answering, upload(answering))
    assert job(answering)["status"] == "running"
    settle_all(answering)
    told = job(answering)
    assert (told["RequestId"], told["CompletionStatus"], told["status"]) == ("me", 1, "done")
    assert [one["n"] for one in told["results"]] == [0, 1, 2, 3, 4]
    assert all("/output/me_" in one["url"] for one in told["results"])
    for n, expected in enumerate(np.split(strip(), 5, axis=1)):
        made = Image.open(io.BytesIO(answering.get("TimetravelBucket", f"output/me_{n}.jpg")))
        assert made.format == "JPEG"
        assert np.abs(np.asarray(made, float) - expected).mean() < 8


def test_the_endpoint_is_called_as_the_original_calls_it(answering: Stage) -> None:
    submit(answering, upload(answering))
    (waiting,) = answering.endpoints.queue
    bucket = answering.bucket("TimetravelBucket")
    assert waiting["inputlocation"] == f"s3://{bucket}/input/me.jpg"
    assert waiting["content-type"] == "image/jpeg"
    assert waiting["accept"] == "application/x-npy"
    assert waiting["invocationtimeoutseconds"] == "300"


def test_the_tables_items_are_the_originals(answering: Stage) -> None:
    submit(answering, upload(answering))
    item = table.find("me")
    assert item is not None
    assert (item["RequestId"], item["CompletionStatus"]) == ("me", 0)
    settle_all(answering)
    item = table.find("me")
    assert item is not None
    assert item["CompletionStatus"] == 1
    assert item["ExpiresAt"] > item["Deadline"]


def test_a_job_is_opened_by_request_and_its_form_filled_in(answering: Stage) -> None:
    status, opened = answering.ask("TimetravelJobs", {"content_type": "image/png"})
    assert status == 201
    assert job(answering, opened["id"])["status"] == "waiting"
    key = opened["upload"]["fields"]["key"]
    policy = json.loads(base64.b64decode(opened["upload"]["fields"]["policy"]))["conditions"]
    assert ["content-length-range", 1, 20_000_000] in policy
    submit(answering, answering.put("TimetravelBucket", key, FACE))
    assert answering.endpoints.queue[0]["content-type"] == "image/png"
    settle_all(answering)
    assert job(answering, opened["id"])["status"] == "done"


def test_parameters_reach_the_model_in_a_request_around_the_picture(answering: Stage) -> None:
    wanted = {"align": False, "ages": [40]}
    _, opened = answering.ask("TimetravelJobs", {"parameters": wanted})
    key = opened["upload"]["fields"]["key"]
    submit(answering, answering.put("TimetravelBucket", key, FACE))
    settle_all(answering)
    (asked,) = answering.endpoints.asked
    assert asked.content_type == "application/json"
    assert json.loads(asked.body) == {"image": base64.b64encode(FACE).decode(), **wanted}
    assert job(answering, opened["id"])["status"] == "done"


def test_the_stacks_parameters_hold_for_jobs_without(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering.variables["PARAMETERS"] = '{"align": false}'
    submit(answering, upload(answering))
    settle_all(answering)
    assert json.loads(answering.endpoints.asked[0].body)["align"] is False
    assert job(answering)["status"] == "done"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"content_type": "text/html"}, 415),
        ({"parameters": {"agse": 1}}, 400),
        ({"parameters": [1]}, 400),
    ],
)
def test_a_bad_request_opens_no_job(stage: Stage, asked: dict[str, Any], status: int) -> None:
    assert stage.ask("TimetravelJobs", asked)[0] == status


def test_a_picture_is_sent_for(answering: Stage) -> None:
    submit(answering, upload(answering))
    settle_all(answering)
    event = {"httpMethod": "GET", "pathParameters": {"id": "me", "n": "2"}}
    answer = answering.run("TimetravelJobs", event)
    assert answer["statusCode"] == 302
    assert "/output/me_2.jpg" in answer["headers"]["Location"]
    for n in ("5", "-1", "x", "²"):
        assert get(answering, id="me", n=n)[0] == 404


def test_a_picture_of_a_job_that_is_not_done(answering: Stage) -> None:
    submit(answering, upload(answering))
    status, told = get(answering, id="me", n="0")
    assert status == 409
    assert "is running" in told["message"]


def test_a_job_that_nobody_knows(stage: Stage) -> None:
    assert get(stage, id="nobody")[0] == 404


def test_a_job_expires(answering: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    answering.variables["JOB_DAYS"] = "0"
    submit(answering, upload(answering))
    monkeypatch.setattr(table, "now", after(1))
    assert get(answering, id="me")[0] == 404


def test_a_job_is_opened_without_a_body_in_the_gateways_other_format(answering: Stage) -> None:
    answer = answering.run("TimetravelJobs", {"version": "2.0", "requestContext": {}})
    assert answer["statusCode"] == 201
