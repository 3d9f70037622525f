"""Batch transform jobs: what is asked of AWS, what is refused, and how one ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from click.testing import CliRunner, Result

from deploy.aws.shapes import misfits, request_shape
from marquee.cli.main import main
from marquee.errors import MarqueeError
from marquee.interrupts import Interrupted
from marquee.sagemaker import transform as batch
from marquee.sagemaker.account import Account
from marquee.sagemaker.instances import BATCH_AMI
from marquee.sagemaker.transform import Transform, stop, transform
from tests.marquee.sagemaker.support import (
    BUCKET,
    IMAGE,
    REGION,
    ROLE,
    RecordedAccount,
    hosting,
    model_name,
    small_tarball,
)

SOURCE, TARGET = f"s3://{BUCKET}/photos/", f"s3://{BUCKET}/answers/"
BASE = ["painter", SOURCE, TARGET, "--role", ROLE, "--image", IMAGE, "--name", "painter-1"]
DATA = ["--model-data", f"s3://{BUCKET}/model.tar.gz"]
KEY = "alias/answers"


def job(**changes: Any) -> Transform:
    """A job on a processor, with changes to itself and to what it runs on."""
    of_hosting = {name: changes.pop(name) for name in ("instance_type", "ami") if name in changes}
    made = hosting(**{"instance_type": "ml.c5.xlarge", "environment": {}} | of_hosting)
    described: dict[str, Any] = {"name": "painter-1", "hosting": made}
    return Transform(**described | {"source": SOURCE, "target": TARGET} | changes)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["sagemaker", *words])


def dry_run(*words: str) -> dict[str, dict[str, Any]]:
    done = run(*words, "--dry-run")
    assert done.exit_code == 0, done.output
    return {call["operation"]: call["parameters"] for call in json.loads(done.stdout)}


def described(status: str, **more: Any) -> dict[str, Any]:
    answer = job().request() | {"CreationTime": 0, "TransformJobStatus": status}
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:transform-job/painter-1"
    return answer | {"TransformJobArn": arn} | more


def ends(control: Stubber, *answers: dict[str, Any]) -> None:
    for answer in answers:
        control.add_response("describe_transform_job", answer, {"TransformJobName": "painter-1"})


def starts(control: Stubber) -> None:
    models = [{"ModelName": model_name(job().hosting), "ModelArn": "a" * 20, "CreationTime": 0}]
    control.add_response("list_models", {"Models": models}, {"NameContains": "painter-"})
    arn = described("InProgress")["TransformJobArn"]
    control.add_response("create_transform_job", {"TransformJobArn": arn}, job().request())


def test_a_job_makes_its_model_once(account: RecordedAccount, tmp_path: Path) -> None:
    packed = small_tarball(tmp_path)
    address = f"s3://{BUCKET}/marquee/painter/1/model.tar.gz"
    own = hosting(model_data=address, packed=packed, instance_type="ml.c5.xlarge", environment={})
    transform(account, job(hosting=own), timeout=1)
    made = ["ListObjectsV2", "ListModels", "PutObject", "CreateModel"]
    assert account.operations == [*made, "CreateTransformJob", "DescribeTransformJob"]
    account.operations.clear()
    transform(account, job(hosting=own, name="painter-2"), timeout=1)
    assert account.operations[:3] == ["ListObjectsV2", "ListModels", "CreateTransformJob"]
    sagemaker = boto3.client("sagemaker", region_name=REGION)
    found = sagemaker.describe_transform_job(TransformJobName="painter-2")
    assert found["ModelName"] == model_name(own)
    model = sagemaker.describe_model(ModelName=found["ModelName"])
    assert model["PrimaryContainer"]["ModelDataUrl"] == address


def test_all_options_reach_aws() -> None:
    calls = dry_run(
        *["transform", *BASE, *DATA, "--instance-type", "ml.m5.xlarge", "--count", "3"],
        *["--content-type", "text/csv", "--accept", "text/csv", "--split", "Line"],
        *["--strategy", "MultiRecord", "--assemble", "Line", "--max-payload", "6"],
        *["--max-concurrent", "4", "--request-seconds", "60", "--retries", "1", "--env", "A=b=c"],
        *["--kms-key", KEY, "--output-kms-key", KEY, "--tag", "team=art", "--isolated"],
        *["--subnet", "subnet-0a1b2c3d", "--security-group", "sg-0a1b2c3d"],
    )
    assert [*calls] == ["ListModels", "CreateModel", "CreateTransformJob", "DescribeTransformJob"]
    model, wanted = calls["CreateModel"], calls["CreateTransformJob"]
    assert model["PrimaryContainer"]["Environment"] == {}  # so that an endpoint's model serves
    assert model["EnableNetworkIsolation"] is True
    assert model["VpcConfig"]["Subnets"] == ["subnet-0a1b2c3d"]
    files = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": SOURCE}}
    assert wanted == {
        "TransformJobName": "painter-1",
        "ModelName": model["ModelName"],
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 6,
        "MaxConcurrentTransforms": 4,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
        "Environment": {"A": "b=c"},
        "TransformInput": {"DataSource": files, "SplitType": "Line", "ContentType": "text/csv"},
        "TransformOutput": {
            "S3OutputPath": TARGET,
            "AssembleWith": "Line",
            "Accept": "text/csv",
            "KmsKeyId": KEY,
        },
        "TransformResources": {
            "InstanceType": "ml.m5.xlarge",
            "InstanceCount": 3,
            "VolumeKmsKeyId": KEY,
        },
        "Tags": [{"Key": "team", "Value": "art"}],
    }
    assert list(misfits(request_shape("sagemaker", "CreateTransformJob"), wanted, "job")) == []


def test_what_is_not_said_is_left_to_the_container() -> None:
    wanted = dry_run("transform", *BASE, *DATA)["CreateTransformJob"]
    asked = {"BatchStrategy", "MaxPayloadInMB", "MaxConcurrentTransforms", "Environment"}
    assert not asked & {*wanted}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source": "photos"}, "the input is 'photos'; expected s3://BUCKET/PATH"),
        ({"target": "/answers"}, "the output is '/answers'"),
        ({"name": "a_b"}, "the job's name is 'a_b'; expected up to 63"),
        ({"strategy": "MultiRecord"}, "expected --split Line"),
        ({"max_payload": 30, "concurrent": 4}, "is 120 MB; SageMaker takes at most 100"),
        ({"environment": {f"N{n}": "" for n in range(17)}}, "--env was said 17 times"),
        ({"output_key": "key"}, "--output-kms-key is 'key'"),
        ({"instance_type": "ml.g4dn.xlarge"}, "driver 470 or 535, where the container's CUDA 13"),
        ({"instance_type": "ml.g5.xlarge"}, "take a processor's, such as ml.c5.4xlarge"),
        ({"ami": BATCH_AMI}, "ml.c5.xlarge has none; leave --ami away"),
        ({"instance_type": "ml.inf2.xlarge"}, "is not NVIDIA's"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(MarqueeError) as refused:
        job(**changes)
    assert told in str(refused.value)


def test_a_host_for_a_container_of_ones_own() -> None:
    resources = job(instance_type="ml.g5.xlarge", ami=BATCH_AMI).request()["TransformResources"]
    assert resources["TransformAmiVersion"] == BATCH_AMI


def test_progress_is_reported_until_the_job_is_done(account: Account, control: Stubber) -> None:
    told: list[str] = []
    account.report = told.append
    starts(control)
    running = described("InProgress", TransformStartTime=1)
    ends(control, described("InProgress"), running, running, described("Completed"))
    transform(account, job(), timeout=60)
    assert told[-3:] == [
        "painter-1 is InProgress, its instances start",
        "painter-1 is InProgress",
        "painter-1 is InProgress",
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            described("Failed", FailureReason="ClientError: See job logs for more information."),
            "the job painter-1 is Failed: ClientError: See job logs for more information; its "
            "log: aws logs tail /aws/sagemaker/TransformJobs --log-stream-name-prefix painter-1/",
        ),
        (
            described("Stopped"),
            f"is Stopped: somebody stopped it, and what it has written stays in {TARGET}",
        ),
    ],
)
def test_a_job_that_ends_otherwise_is_an_error(
    account: Account, control: Stubber, answer: dict[str, Any], told: str
) -> None:
    starts(control)
    ends(control, answer)
    with pytest.raises(MarqueeError) as failed:
        transform(account, job(), timeout=60)
    assert told in str(failed.value)


def test_a_job_that_takes_too_long_goes_on(account: Account, control: Stubber) -> None:
    starts(control)
    ends(control, described("InProgress"))
    with pytest.raises(MarqueeError, match="goes on; stop it with: marquee sagemaker stop-tra"):
        transform(account, job(), timeout=-1)


def test_an_interrupt_says_that_the_job_runs_on(
    account: Account, control: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    account.report = told.append
    starts(control)

    def interrupted(_seconds: float) -> None:
        raise Interrupted("interrupted by SIGINT")

    monkeypatch.setattr("marquee.sagemaker.account.time.sleep", interrupted)
    ends(control, described("InProgress"))
    with pytest.raises(Interrupted):
        transform(account, job(), timeout=60)
    stopping = "stop it with: marquee sagemaker stop-transform painter-1"
    assert told[-1] == f"The job painter-1 runs on, and is paid for; {stopping}"


def test_a_job_is_stopped(account: Account, control: Stubber) -> None:
    control.add_response("stop_transform_job", {}, {"TransformJobName": "painter-1"})
    ends(control, described("Stopping"), described("Stopped"))
    assert stop(account, "painter-1", timeout=60) == "Stopped"


def test_a_job_that_has_ended_cannot_be_stopped(account: Account, control: Stubber) -> None:
    message = "Requested resource not found."
    wanted = {"TransformJobName": ANY}
    control.add_client_error(
        "stop_transform_job", "ValidationException", message, expected_params=wanted
    )
    with pytest.raises(MarqueeError, match=r"StopTransformJob was refused"):
        stop(account, "painter-1", timeout=60)


def test_a_dry_stop_makes_no_call() -> None:
    assert [*dry_run("stop-transform", "painter-1")] == ["StopTransformJob", "DescribeTransformJob"]
    done = run("stop-transform", "a_b", "--dry-run")
    assert done.exit_code == 1
    assert "the job's name is 'a_b'; expected what transform has printed" in done.output


def test_a_job_is_named_after_the_model_and_the_time() -> None:
    unnamed = dry_run("transform", *BASE[:-2], *DATA)["CreateTransformJob"]["TransformJobName"]
    assert batch.JOB_NAME.fullmatch(unnamed)
    assert unnamed.startswith("painter-20")
