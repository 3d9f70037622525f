"""What goes wrong on the running stack: every job ends as done, or as failed with its reason."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.local.resources import packed
from tests.deploy.local.support import UpCloud, eventually, example, notice, zipped
from tests.front.support import pixel

ENDPOINT = "marquee-timetravel"
CONFIG = "marquee-TimetravelEndpointConfig"
# Of the faulty model: the red value of a picture's first pixel.
RAISE, SLOW = 3, 11

CRASH = """
import os, pathlib
from timetravel import app, table

MARK = pathlib.Path({mark!r})
done = table.done

def settle(event, context):
    if not MARK.exists():
        MARK.touch()
        table.done = lambda *_: os._exit(7)  # the pictures are stored, the job is not
    return app.settle(event, context)
"""


@contextmanager
def settings(cloud: UpCloud, name: str, **variables: str) -> Iterator[None]:
    """Change a function's variables for a while."""
    client = cloud.client("lambda")
    before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def put(values: dict[str, str]) -> None:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": values})

    put(before | variables)
    try:
        yield
    finally:
        put(before)


@pytest.fixture
def without_endpoint(cloud: UpCloud) -> Iterator[None]:
    """Take timetravel's endpoint away."""
    sagemaker = cloud.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName=ENDPOINT)
    yield
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=CONFIG)


@pytest.fixture
def faulty(cloud: UpCloud, without_endpoint: None) -> Iterator[None]:
    """Put the faulty model behind timetravel's endpoint, with a second's patience."""
    sagemaker = cloud.client("sagemaker")
    known = sagemaker.describe_endpoint_config(EndpointConfigName=CONFIG)["AsyncInferenceConfig"]
    if not _exists(sagemaker, "faulty-config"):
        cloud.endpoint("faulty", "faulty", AsyncInferenceConfig=known)
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="faulty-config")
    with settings(cloud, "marquee-TimetravelSubmit", PARAMETERS="{}", INVOCATION_SECONDS="1"):
        yield
    sagemaker.delete_endpoint(EndpointName=ENDPOINT)


def _exists(sagemaker: Any, name: str) -> bool:
    listed = sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    return bool(listed)


def dead_letters(cloud: UpCloud) -> int:
    """Return how many events were given up."""
    found = cloud.client("sqs").get_queue_attributes(
        QueueUrl=cloud.known.outputs["DeadLettersQueue"],
        AttributeNames=["ApproximateNumberOfMessages"],
    )
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def answers(cloud: UpCloud) -> int:
    """Return how many answers the asynchronous endpoint has stored."""
    pages = cloud.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=cloud.bucket("Timetravel"), Prefix="async/")
    return sum(page["KeyCount"] for page in found)


def test_an_endpoint_that_is_away_fails_the_job(cloud: UpCloud, without_endpoint: None) -> None:
    cloud.face("away.png")
    job = cloud.ended("away")
    assert job["CompletionStatus"] == "-1"
    assert "not in service" in job["Reason"]


def test_what_the_model_refuses_fails_the_job_with_its_words(cloud: UpCloud) -> None:
    cloud.face("garbage.png", b"no picture at all")
    job = cloud.ended("garbage")
    assert job["CompletionStatus"] == "-1"
    assert "no image that can be read" in job["Reason"]


def test_a_model_that_breaks_fails_the_job(cloud: UpCloud, faulty: None) -> None:
    cloud.face("broken.png", pixel(RAISE))
    job = cloud.ended("broken")
    assert job["CompletionStatus"] == "-1"
    assert job["Reason"]


def test_a_model_that_takes_too_long_fails_the_job(cloud: UpCloud, faulty: None) -> None:
    cloud.face("slow.png", pixel(SLOW))
    job = cloud.ended("slow")
    assert job["CompletionStatus"] == "-1"
    assert "timed out" in job["Reason"]


def test_notifications_that_come_again_or_late_change_nothing(cloud: UpCloud) -> None:
    cloud.face("again.png")
    job = cloud.ended("again")
    sns = cloud.client("sns")
    topics = {
        one["TopicArn"].rpartition("-")[2]: one["TopicArn"] for one in sns.list_topics()["Topics"]
    }
    place = {"outputLocation": job["OutputLocation"]} if "OutputLocation" in job else {}
    sns.publish(
        TopicArn=topics["TimetravelFailed"], Message=notice(job, "Failed", failureReason="late")
    )
    sns.publish(
        TopicArn=topics["TimetravelDone"],
        Message=notice(job, "Completed", responseParameters=place),
    )
    time.sleep(1)
    assert cloud.jobs()["again"] == job


def test_an_upload_event_that_comes_again_starts_nothing(cloud: UpCloud) -> None:
    cloud.face("repeated.png")
    job = cloud.ended("repeated")
    head = cloud.client("s3").head_object(
        Bucket=cloud.bucket("Timetravel"), Key="input/repeated.png"
    )
    told = {"key": "input/repeated.png", "size": head["ContentLength"], "sequencer": "0001"}
    record = {
        "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {
            "bucket": {"name": cloud.bucket("Timetravel")},
            "object": told | {"eTag": head["ETag"].strip('"')},
        },
    }
    before = answers(cloud)
    ran = cloud.client("lambda").invoke(
        FunctionName="marquee-TimetravelSubmit", Payload=json.dumps({"Records": [record]})
    )
    assert "FunctionError" not in ran
    assert (cloud.jobs()["repeated"], answers(cloud)) == (job, before)


def test_the_same_upload_twice_is_aged_once(cloud: UpCloud) -> None:
    before = answers(cloud)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(cloud.face, ["twin.png", "twin.png"]))
    assert cloud.ended("twin")["CompletionStatus"] == "1"
    time.sleep(1)
    assert answers(cloud) == before + 1


def test_a_function_that_crashes_half_way_is_run_again(
    cloud: UpCloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mark = tmp_path_factory.mktemp("crash") / "crashed"
    client, name = cloud.client("lambda"), "marquee-TimetravelSettle"
    whole = packed(cloud.project.root / "deploy" / "aws" / "functions")
    client.update_function_code(FunctionName=name, ZipFile=_with_crash(whole, str(mark)))
    client.update_function_configuration(FunctionName=name, Handler="crash.settle")
    try:
        cloud.face("crash.png")
        job = cloud.ended("crash")
    finally:
        client.update_function_code(FunctionName=name, ZipFile=whole)
        client.update_function_configuration(FunctionName=name, Handler="timetravel.app.settle")
    assert mark.exists()
    assert (job["CompletionStatus"], len(job["Results"])) == ("1", 5)


def _with_crash(code: bytes, mark: str) -> bytes:
    import zipfile  # noqa: PLC0415

    out = io.BytesIO(code)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("crash.py", CRASH.format(mark=mark))
    return out.getvalue()


def test_a_hundred_uploads_at_once_are_each_done_once(cloud: UpCloud) -> None:
    before, lost = answers(cloud), dead_letters(cloud)
    names = [f"crowd{number:03}" for number in range(100)]
    face = example("timetravel").read_bytes()
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda name: cloud.face(f"{name}.png", face), names))

    def all_done() -> bool:
        jobs = cloud.jobs()
        return all(jobs.get(name, {}).get("CompletionStatus") == "1" for name in names)

    assert eventually(all_done, 240, every=1)
    assert (answers(cloud), dead_letters(cloud)) == (before + 100, lost)


def test_an_event_that_no_run_could_deal_with_is_kept(cloud: UpCloud) -> None:
    client, before = cloud.client("lambda"), dead_letters(cloud)
    client.create_function(
        FunctionName="hopeless",
        Runtime="python3.12",
        Role="arn:aws:iam::123456789012:role/marquee-CifarRole",
        Handler="hopeless.run",
        Code={"ZipFile": zipped(hopeless="def run(event, context): raise ValueError('never')")},
    )
    queue = "arn:aws:sqs:us-east-1:123456789012:marquee-DeadLetters"
    client.put_function_event_invoke_config(
        FunctionName="hopeless",
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )
    client.invoke(FunctionName="hopeless", InvocationType="Event", Payload=b'{"a": 1}')
    eventually(lambda: dead_letters(cloud) == before + 1)
    sqs = cloud.client("sqs")
    [message] = sqs.receive_message(QueueUrl=cloud.known.outputs["DeadLettersQueue"])["Messages"]
    told = json.loads(message["Body"])
    assert told["requestPayload"] == {"a": 1}
    assert told["requestContext"]["approximateInvokeCount"] == 2
    assert told["responsePayload"]["errorMessage"] == "never"
