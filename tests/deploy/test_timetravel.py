"""Jobs: each upload ends as done or as failed with its reason, whatever happens on the way."""

import base64
import concurrent.futures
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shared
from tests.deploy.stage import Said, Stage, sns
from tests.support import GOLDEN
from timetravel import table

NAME = "stage-timetravel"
FACE = (GOLDEN / "timetravel" / "input.png").read_bytes()
SIDE = 64


def strip() -> np.ndarray[Any, Any]:
    """Return the reference's pictures side by side, as the endpoint answers: (S, 5 S, 3)."""
    known = np.load(GOLDEN / "timetravel" / "small.npz")
    face = Image.open(io.BytesIO(FACE)).convert("RGB").resize((SIDE, SIDE))
    return np.concatenate([np.asarray(face), *(known[f"img{age}"] for age in (25, 35, 55, 75))], 1)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


ANSWER = npy(strip())


@pytest.fixture
def answering(stage: Stage) -> Stage:
    stage.endpoints.containers[NAME] = lambda asked: Said(ANSWER, "application/x-npy")
    return stage


def upload(stage: Stage, name: str = "me.jpg", data: bytes = FACE, **more: Any) -> dict[str, Any]:
    return stage.put("TimetravelBucket", f"input/{name}", data, **more)


def submit(stage: Stage, event: dict[str, Any], run: str | None = None) -> None:
    stage.run("TimetravelSubmit", event, run)


def settle_all(stage: Stage) -> None:
    for notice in stage.work():
        stage.run("TimetravelSettle", notice)


def job(stage: Stage, name: str = "me") -> dict[str, Any]:
    status, told = get(stage, id=name)
    assert status == 200, told
    answer: dict[str, Any] = told
    return answer


def get(stage: Stage, **asked: str) -> tuple[int, Any]:
    return stage.ask("TimetravelJobs", None, httpMethod="GET", pathParameters=asked)


# ---------------------------------------------------------------- the way of a job


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
    monkeypatch.setenv("PARAMETERS", '{"align": false}')
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
    monkeypatch.setenv("JOB_DAYS", "0")
    submit(answering, upload(answering))
    monkeypatch.setattr(table.time, "time", after(1))
    assert get(answering, id="me")[0] == 404


def after(seconds: float) -> Any:
    """Return a clock that is ahead."""
    import time  # noqa: PLC0415

    moment = time.time() + seconds
    return lambda: moment


# ---------------------------------------------------------------- what goes wrong


def failed(stage: Stage, name: str = "me") -> str:
    told = job(stage, name)
    assert (told["CompletionStatus"], told["status"]) == (-1, "failed")
    reason: str = told["reason"]
    return reason


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
    monkeypatch.setattr(table.time, "time", after(4501))
    assert "gave no answer in time" in failed(answering)


def test_a_job_without_a_picture_fails_in_the_end(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, opened = answering.ask("TimetravelJobs", {})
    monkeypatch.setattr(table.time, "time", after(901))
    assert "no picture was uploaded" in failed(answering, opened["id"])


def test_an_answer_after_all_wins(answering: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(answering, upload(answering))
    with monkeypatch.context() as later:
        later.setattr(table.time, "time", after(4501))
        failed(answering)
    settle_all(answering)
    told = job(answering)
    assert told["status"] == "done"
    assert "reason" not in told


# ---------------------------------------------------------------- events twice, late, in disorder


def test_an_upload_that_is_told_of_twice_runs_once(answering: Stage) -> None:
    event = upload(answering)
    submit(answering, event)
    submit(answering, event)
    assert len(answering.endpoints.queue) == 1
    settle_all(answering)
    submit(answering, event)
    assert not answering.endpoints.queue
    assert job(answering)["status"] == "done"


def test_an_end_that_is_told_of_twice_is_written_once(answering: Stage) -> None:
    submit(answering, upload(answering))
    (notice,) = answering.work()
    answering.run("TimetravelSettle", notice)
    finished = job(answering)["finished_at"]
    answering.run("TimetravelSettle", notice)
    assert job(answering)["finished_at"] == finished


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_success_stands_whether_a_failure_is_told_of_before_or_after(
    answering: Stage, order: tuple[int, int]
) -> None:
    submit(answering, upload(answering))
    inference = answering.endpoints.queue[0]["inference-id"]
    failure = sns({"invocationStatus": "Failed", "inferenceId": inference})
    notices = [*answering.work(), failure]
    for one in order:
        answering.run("TimetravelSettle", notices[one])
    assert job(answering)["status"] == "done"


def test_an_end_may_be_told_of_before_the_call_returned(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = table.invoked

    def fast_model(taken: table.Job, places: dict[str, str]) -> None:
        settle_all(answering)
        note(taken, places)

    monkeypatch.setattr(table, "invoked", fast_model)
    submit(answering, upload(answering))
    assert job(answering)["status"] == "done"


def test_a_run_that_crashed_before_the_call_is_taken_up_again(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = upload(answering)
    with monkeypatch.context() as crash:
        crash.setattr("timetravel.app._invoke", lambda *words: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            submit(answering, event, "run")
    submit(answering, event, "another while the first may still be alive")
    assert not answering.endpoints.queue
    submit(answering, event, "run")
    settle_all(answering)
    assert job(answering)["status"] == "done"


def test_a_run_that_never_comes_back_is_taken_over_after_its_time(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = upload(answering)
    with monkeypatch.context() as crash:
        crash.setattr("timetravel.app._invoke", lambda *words: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            submit(answering, event)
    monkeypatch.setattr(table.time, "time", after(table.LEASE_SECONDS + 1))
    submit(answering, event)
    assert len(answering.endpoints.queue) == 1


def test_a_run_that_crashed_half_way_through_the_pictures_is_done_again(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(answering, upload(answering))
    (notice,) = answering.work()
    from timetravel import app  # noqa: PLC0415

    put, count = app._put, iter(range(100))

    def crashing(*words: Any) -> None:
        if next(count) == 3:
            raise MemoryError
        put(*words)

    with monkeypatch.context() as crash:
        crash.setattr(app, "_put", crashing)
        with pytest.raises(MemoryError):
            answering.run("TimetravelSettle", notice)
    assert job(answering)["status"] == "running"
    answering.run("TimetravelSettle", notice)
    assert job(answering)["status"] == "done"
    assert len(answering.keys("TimetravelBucket", "output/")) == 5


def test_the_same_upload_twice_is_one_job_and_one_run(answering: Stage) -> None:
    submit(answering, upload(answering, at=1))
    submit(answering, upload(answering, at=2))
    settle_all(answering)
    assert len(answering.endpoints.asked) == 1
    assert job(answering)["status"] == "done"


def test_the_same_upload_after_a_failure_is_tried_anew(stage: Stage) -> None:
    submit(stage, upload(stage, at=1))
    failed(stage)
    stage.endpoints.containers[NAME] = lambda asked: Said(ANSWER)
    submit(stage, upload(stage, at=2))
    settle_all(stage)
    assert job(stage)["status"] == "done"


def test_another_picture_under_the_name_replaces_the_job(answering: Stage) -> None:
    submit(answering, upload(answering, at=1))
    late = answering.work()
    submit(answering, upload(answering, data=FACE + b"\0", at=2))
    for notice in late:
        answering.run("TimetravelSettle", notice)
    assert job(answering)["status"] == "running", "the older picture's end is not the newer's"
    settle_all(answering)
    assert job(answering)["status"] == "done"


def test_the_event_of_an_older_picture_comes_too_late(answering: Stage) -> None:
    old = upload(answering, at=1)
    submit(answering, upload(answering, data=FACE + b"\0", at=2))
    submit(answering, old)
    assert len(answering.endpoints.queue) == 1


def test_two_files_of_one_name_are_two_jobs(answering: Stage) -> None:
    for key in ("a/me.jpg", "b/me.jpg"):
        event = upload(answering, key)
        submit(answering, event)
        submit(answering, event)
    settle_all(answering)
    assert len(answering.endpoints.asked) == 2
    assert len(answering.keys("TimetravelBucket", "output/")) == 10


@pytest.mark.parametrize("name", ["ein Gesicht.jpg", "ф.jpg", ".jpg", "x" * 200 + ".jpg"])
def test_a_name_that_is_no_plain_word(answering: Stage, name: str) -> None:
    submit(answering, upload(answering, name))
    (waiting,) = answering.endpoints.queue
    assert len(waiting["inference-id"]) <= 64
    settle_all(answering)
    assert job(answering, table.job_id_of(waiting["inference-id"]))["status"] == "done"


def test_notifications_of_others_are_left_alone(stage: Stage) -> None:
    stage.run("TimetravelSettle", sns({"invocationStatus": "Completed", "inferenceId": "x.y"}))
    stage.run("TimetravelSettle", sns({"invocationStatus": "Failed"}))


def test_a_hundred_uploads_at_once_all_end_with_every_event_twice(answering: Stage) -> None:
    """Every tenth picture is one that the model refuses."""

    def picky(asked: Any) -> Said:
        return Said(b"no face", status=422) if asked.body.endswith(b"bad") else Said(ANSWER)

    answering.endpoints.containers[NAME] = picky
    names = [f"face{n}" for n in range(100)]
    events = [
        upload(answering, f"{name}.jpg", FACE + (b"bad" if n % 10 == 0 else b""))
        for n, name in enumerate(names)
    ]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda event: submit(answering, event), events * 2))
    notices = answering.work()
    assert len(notices) == 100
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        settle = lambda notice: answering.run("TimetravelSettle", notice)  # noqa: E731
        list(pool.map(settle, notices[::-1] + notices))
    ended = [job(answering, name) for name in names]
    assert [one["status"] for one in ended].count("done") == 90
    assert {one.get("reason") for one in ended if one["status"] == "failed"} == {"no face"}
    assert len(answering.endpoints.asked) == 100
