"""The tab "Jobs" where there is no cloud, and what its pipelines make of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from deploy.local import state as cloud_state
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.sagemaker import localcloud
from marquee.studio import jobs, pipelines
from marquee.studio.pipelines import DONE, RUNNING, JobsApi, State
from tests.studio.conftest import keep
from tests.support import make_project

API = "http://api.test/prod"
FORM = {"url": "http://bucket.test/", "fields": {"key": "input/1.png"}}


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def test_without_a_cloud_the_page_says_how_to_get_one(page: Page) -> None:
    page.get_by_role("tab", name="Jobs").click()
    expect(page.locator("#jobs .mq-refused")).to_contain_text("start it: marquee cloud up")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#jobs .mq-refused")).to_contain_text("choose a pipeline first")
    keep(page, "jobs-no-cloud")


def test_a_running_cloud_is_found_by_what_it_has_written(empty: Project) -> None:
    import os  # noqa: PLC0415

    import psutil  # noqa: PLC0415

    known: dict[str, Any] = {
        "address": "http://127.0.0.1:1",
        "api_url": API,
        "api_key": "k",
        "outputs": {"InkwashBucket": "b"},
    }
    born = psutil.Process().create_time()
    written = cloud_state.RunningCloud(
        pid=os.getpid(), born=born, temp="", owns_server=False, **known
    )
    cloud_state.write(empty, written)
    assert localcloud.running(empty) == localcloud.LocalCloud(**known)
    assert cloud_state.path(empty) == empty.state / localcloud.FILE
    # Another process with the same number.
    cloud_state.write(empty, cloud_state.RunningCloud(**{**vars(written), "born": born - 60}))
    with pytest.raises(MarqueeError, match="marquee cloud up"):
        localcloud.running(empty)


def test_without_credentials_aws_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(MarqueeError, match="configure credentials first"):
        pipelines.of_aws("us-east-1", None)


def test_parameters_are_pairs() -> None:
    assert jobs._pairs("align=false\n\n ages = [1, 2] ") == {"align": "false", "ages": "[1, 2]"}
    with pytest.raises(MarqueeError, match="'align' is not NAME=VALUE"):
        jobs._pairs("align")


class Answers:
    """Stands in for the network: answers in turn, and what was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.left, self.asked = [*answers], []  # type: ignore[var-annotated]

    def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        self.asked.append((method, url, more))
        return self.left.pop(0)


def test_a_job_of_the_api_from_its_form_to_its_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    face = tmp_path / "face.png"
    face.write_bytes(b"\x89PNG\r\n\x1a\n")
    links = [{"n": 0, "url": "http://bucket.test/0.jpg"}]
    answers = Answers(
        httpx.Response(201, json={"job": "/jobs/1", "upload": FORM}),
        httpx.Response(204),
        httpx.Response(200, json={"status": "running", "results": []}),
        httpx.Response(200, json={"status": "done", "results": links}),
    )
    monkeypatch.setattr(httpx, "request", answers.request)
    api = JobsApi(API, "secret")
    job = api.submit(face, {"align": "false"})
    assert (job, api.look(job), api.look(job).word) == ("/jobs/1", State(RUNNING), DONE)
    opened = answers.asked[0][2]
    assert opened["json"] == {"content_type": "image/png", "parameters": {"align": False}}
    assert opened["headers"] == {"x-api-key": "secret"}
    assert "secret" not in repr(api)


def test_a_refused_job_is_its_own_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = tmp_path / "face.txt"
    text.write_text("no picture")
    refused = httpx.Response(415, json={"message": "send one of image/jpeg"})
    monkeypatch.setattr(httpx, "request", Answers(refused).request)
    with pytest.raises(MarqueeError, match="POST /jobs answered 415: send one of image/jpeg"):
        JobsApi(API, "k").submit(text, {})


def test_a_job_that_cannot_be_looked_at_is_looked_at_again() -> None:
    class Away:
        def submit(self, file: Path, parameters: Any) -> str:
            raise NotImplementedError

        def look(self, job: str) -> State:
            raise MarqueeError("nobody answers")

    job = jobs.Job("a.jpg", "p", Away(), "1").looked()
    assert (job.state.word, job.state.reason, job.state.over) == (
        "waiting",
        "nobody answers",
        False,
    )
