"""Every job ends as done or as failed, and a failed one says why."""

import json

import numpy as np
import pytest

import shared
from tests.deploy.endpoints import Said
from tests.deploy.jobs import (
    ANSWER,
    NAME,
    after,
    failed,
    job,
    npy,
    settle_all,
    strip,
    submit,
    upload,
)
from tests.deploy.stage import Stage, sns
from timetravel import table


def test_an_endpoint_that_is_not_there_fails_the_job_at_once(stage: Stage) -> None:
    submit(stage, upload(stage))
    assert "is not in service" in failed(stage)


def test_a_busy_endpoint_is_tried_again(answering: Stage) -> None:
    event = upload(answering)
    answering.endpoints.refusals.append(("ThrottlingException", 400))
    with pytest.raises(shared.Problem, match="ThrottlingException"):
        submit(answering, event, "run")
    assert job(answering)["status"] == "running"
    submit(answering, event, "run")
    settle_all(answering)
    assert job(answering)["status"] == "done"


def test_a_busy_endpoint_fails_the_job_at_the_last_try(stage: Stage) -> None:
    event = upload(stage)
    stage.endpoints.refusals += [("ServiceUnavailable", 503)] * table.TRIES
    for _ in range(table.TRIES - 1):
        with pytest.raises(shared.Problem):
            submit(stage, event, "run")
    submit(stage, event, "run")
    assert "ServiceUnavailable" in failed(stage)


def test_a_models_refusal_is_the_jobs_reason(stage: Stage) -> None:
    said = json.dumps({"code": 422, "message": "no face was found"}).encode()
    stage.endpoints.containers[NAME] = lambda asked: Said(said, status=422)
    submit(stage, upload(stage))
    settle_all(stage)
    assert failed(stage) == "no face was found"


def test_without_the_models_words_sagemakers_are_the_reason(answering: Stage) -> None:
    submit(answering, upload(answering))
    (waiting,) = answering.endpoints.queue
    notice = {"invocationStatus": "Failed", "inferenceId": waiting["inference-id"]}
    answering.run("TimetravelSettle", sns(notice | {"failureReason": "ClientError: timed out"}))
    assert failed(answering) == "ClientError: timed out"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no array",
        ANSWER[:200],
        npy(strip()[:, :70]),
        npy(strip().astype(np.float32)),
        npy(np.uint8(1)),
        npy(np.array([{}], dtype=object)),
    ],
)
def test_an_answer_that_is_no_strip(answering: Stage, data: bytes) -> None:
    answering.endpoints.containers[NAME] = lambda asked: Said(data)
    submit(answering, upload(answering))
    settle_all(answering)
    assert failed(answering).startswith("the endpoint")


@pytest.mark.parametrize("data", [b"", bytes(20_000_001)])
def test_an_upload_of_a_size_that_is_not_taken(answering: Stage, data: bytes) -> None:
    submit(answering, upload(answering, data=data))
    assert "are taken" in failed(answering)
    assert not answering.endpoints.queue


def test_a_job_without_an_answer_fails_in_the_end(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(answering, upload(answering))
    monkeypatch.setattr(table, "now", after(4501))
    assert "gave no answer in time" in failed(answering)


def test_a_job_without_a_picture_fails_in_the_end(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, opened = answering.ask("TimetravelJobs", {})
    monkeypatch.setattr(table, "now", after(901))
    assert "no picture was uploaded" in failed(answering, opened["id"])


def test_an_answer_after_all_wins(answering: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(answering, upload(answering))
    with monkeypatch.context() as later:
        later.setattr(table, "now", after(4501))
        failed(answering)
    settle_all(answering)
    told = job(answering)
    assert told["status"] == "done"
    assert "reason" not in told
