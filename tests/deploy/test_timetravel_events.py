"""Events come twice, late, in disorder, many at once, and to runs that crash half way."""

import concurrent.futures
from typing import Any

import pytest

from tests.deploy.endpoints import Said
from tests.deploy.jobs import ANSWER, FACE, NAME, after, failed, job, settle_all, submit, upload
from tests.deploy.stage import Stage, sns
from timetravel import app, table


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
    monkeypatch.setattr(table, "now", after(table.LEASE_SECONDS + 1))
    submit(answering, event)
    assert len(answering.endpoints.queue) == 1


def test_a_run_that_crashed_half_way_through_the_pictures_is_done_again(
    answering: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(answering, upload(answering))
    (notice,) = answering.work()
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


@pytest.mark.slow
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
