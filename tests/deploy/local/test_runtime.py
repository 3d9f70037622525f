"""SageMaker's runtime on a running cloud: its answers, its errors, its notifications."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy.local import account
from deploy.local.endpoints import Target
from deploy.local.packages import package
from tests.deploy.local.support import UpCloud, eventually, example

CIFAR = "marquee-cifar-vgg11"


@pytest.fixture
def runtime(cloud: UpCloud) -> Any:
    """The SDK's client of the runtime."""
    return cloud.client("sagemaker-runtime")


def refusal(call: Any, **given: Any) -> dict[str, Any]:
    """Return the error that the SDK raises."""
    with pytest.raises(call.__self__.exceptions.ClientError) as caught:
        call(**given)
    found: dict[str, Any] = caught.value.response
    return found


def test_an_unknown_endpoint_is_a_validation_error(runtime: Any) -> None:
    error = refusal(runtime.invoke_endpoint, EndpointName="nowhere", Body=b"x")["Error"]
    assert error["Code"] == "ValidationError"
    assert "nowhere" in error["Message"]


def test_what_the_model_refuses_is_a_model_error(runtime: Any) -> None:
    found = refusal(runtime.invoke_endpoint, EndpointName=CIFAR, Body=b"x", ContentType="image/png")
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (found["Error"]["Code"], found["OriginalStatusCode"]) == ("ModelError", 400)
    assert json.loads(found["OriginalMessage"])["code"] == 400


def test_six_megabytes_are_the_most(runtime: Any) -> None:
    found = refusal(runtime.invoke_endpoint, EndpointName=CIFAR, Body=bytes(6_291_457))
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize("asked", ["main", "other"])
def test_a_variant_can_be_asked_for(runtime: Any, asked: str) -> None:
    given = {"EndpointName": CIFAR, "TargetVariant": asked, "ContentType": "image/png"}
    body = example("cifar").read_bytes()
    if asked == "main":
        assert runtime.invoke_endpoint(Body=body, **given)["InvokedProductionVariant"] == "main"
    else:
        assert (
            "no variant" in refusal(runtime.invoke_endpoint, Body=body, **given)["Error"]["Message"]
        )


def test_each_kind_of_endpoint_takes_its_own_calls(runtime: Any) -> None:
    one = refusal(runtime.invoke_endpoint, EndpointName="marquee-timetravel", Body=b"x")
    two = refusal(runtime.invoke_endpoint_async, EndpointName=CIFAR, InputLocation="s3://a/b")
    assert "InvokeEndpointAsync" in one["Error"]["Message"]
    assert "call InvokeEndpoint" in two["Error"]["Message"]


def test_an_endpoint_that_an_option_names_takes_both_calls(cloud: UpCloud, runtime: Any) -> None:
    body = example("cifar").read_bytes()
    given: dict[str, Any] = {"EndpointName": "named", "ContentType": "image/png", "Body": body}
    said = runtime.invoke_endpoint(**given)["Body"].read()
    taken = runtime.invoke_endpoint_async(**given)
    bucket, _, key = taken["OutputLocation"].removeprefix("s3://").partition("/")
    s3 = cloud.client("s3")
    eventually(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"])
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == said


@pytest.mark.parametrize("location", ["s3://bucket", "https://example.org/a"])
def test_an_input_outside_of_s3_is_refused(runtime: Any, location: str) -> None:
    found = refusal(
        runtime.invoke_endpoint_async, EndpointName="marquee-timetravel", InputLocation=location
    )
    assert location in found["Error"]["Message"]


def test_an_endpoint_that_nothing_names_says_what_to_do(cloud: UpCloud, runtime: Any) -> None:
    cloud.endpoint("mystery", "")
    found = refusal(runtime.invoke_endpoint, EndpointName="mystery", Body=b"x")
    assert "--endpoint mystery=MODEL" in found["Error"]["Message"]


def test_an_update_serves_what_the_package_holds_by_then(cloud: UpCloud, runtime: Any) -> None:
    s3, control = cloud.client("s3"), cloud.client("sagemaker")
    s3.create_bucket(Bucket="packages")
    where = {"Bucket": "packages", "Key": "model.tar.gz"}

    def answer(endpoint: str) -> Any:
        body = example("cifar").read_bytes()
        said = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="image/png")
        return json.loads(said["Body"].read())

    s3.put_object(**where, Body=package(Target("cifar", "1.0")))
    cloud.endpoint("switched", "", data="s3://packages/model.tar.gz")
    lenet = answer("switched")
    s3.put_object(**where, Body=package(Target("cifar", "2.0")))
    assert answer("switched") == lenet
    control.update_endpoint(EndpointName="switched", EndpointConfigName="switched-config")
    assert answer("switched") == answer(CIFAR) != lenet


Run = Callable[..., str]
OURS = ["--role", "arn:aws:iam::123456789012:role/marquee-EndpointRole"]
OURS += ["--image", "123456789012.dkr.ecr.us-east-1.amazonaws.com/marquee:1"]


@pytest.fixture
def run(cloud: UpCloud) -> Run:
    """What a command of ours prints, which must succeed."""

    def done(*words: str) -> str:
        ended = cloud.command("sagemaker", *words, **account.variables(cloud.known.address))
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return done


def test_an_endpoint_is_deployed_asked_updated_and_deleted_by_our_commands(
    cloud: UpCloud, run: Run
) -> None:
    where = ["--endpoint", "mine", "--instance-type", "ml.c5.large", "--bucket", "marquee-models"]
    asked = ("invoke", "mine", str(example("cifar")))
    run("deploy", "cifar", "--version", "1.0", *where, *OURS)
    lenet = json.loads(run(*asked))
    run("update", "cifar", "--version", "2.0", *where, *OURS)
    assert lenet != json.loads(run(*asked))
    run("delete", "mine", "--yes")
    gone = cloud.command("sagemaker", *asked, **account.variables(cloud.known.address))
    assert gone.returncode == 1
    assert "check the endpoint's name" in gone.stderr


def test_variants_share_an_endpoint_by_our_commands(run: Run) -> None:
    variants = ["--variant", "old=1.0", "--variant", "new=2.0,weight=0"]
    where = ["--endpoint", "shared", "--bucket", "marquee-models"]
    asked = ("invoke", "shared", str(example("cifar")))
    run("deploy", "cifar", *variants, *where, *OURS)
    lenet = json.loads(run(*asked))
    assert run("traffic", "shared", "old=0", "new=1") == "old 0.0%, new 100.0%\n"
    assert json.loads(run(*asked)) != lenet
    assert json.loads(run(*asked, "--variant", "old")) == lenet
    run("delete", "shared", "--yes")


def test_many_models_share_an_endpoint_by_our_commands(run: Run) -> None:
    folder = "s3://marquee-models/zoo/"
    run("models", "put", folder, "cifar", "--as", "cifar.tar.gz")
    run("deploy", "zoo", "--multi-model", "--model-data", folder, *OURS)
    asked = ("invoke", "zoo", str(example("cifar")), "--target-model", "cifar.tar.gz")
    assert json.loads(run(*asked))
    run("delete", "zoo", "--yes")


def test_an_endpoint_without_instances_by_our_commands(run: Run) -> None:
    where = ["--endpoint", "light", "--serverless", "--bucket", "marquee-models"]
    run("deploy", "cifar", *where, *OURS)
    assert json.loads(run("invoke", "light", str(example("cifar"))))
    updated = run("update", "cifar", *where, "--memory", "2048", *OURS)
    assert updated == "the endpoint light is updated\n"
    run("delete", "light", "--yes")


def test_an_update_of_nothing_is_refused(cloud: UpCloud) -> None:
    control = cloud.client("sagemaker")
    wrong = {"EndpointName": "nowhere", "EndpointConfigName": "none"}
    assert "nowhere" in refusal(control.update_endpoint, **wrong)["Error"]["Message"]
    wrong["EndpointName"] = CIFAR
    assert "none" in refusal(control.update_endpoint, **wrong)["Error"]["Message"]


@pytest.fixture(scope="module")
def told(cloud: UpCloud) -> str:
    """An asynchronous endpoint of cifar, and the address of a queue that hears of its ends."""
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    topic = sns.create_topic(Name="told")["TopicArn"]
    arn = "arn:aws:sqs:us-east-1:123456789012:told"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    cloud.client("s3").create_bucket(Bucket="later")
    topics = {"SuccessTopic": topic, "ErrorTopic": topic}
    output = {"S3OutputPath": "s3://later/out", "S3FailurePath": "s3://later/failed"}
    config = {"OutputConfig": output | {"NotificationConfig": topics}}
    cloud.endpoint("cifar-later", "cifar", AsyncInferenceConfig=config)
    return str(queue)


def heard(cloud: UpCloud, queue: str) -> dict[str, Any]:
    """Return the next notification."""
    sqs = cloud.client("sqs")
    [found] = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=found["ReceiptHandle"])
    message: dict[str, Any] = json.loads(json.loads(found["Body"])["Message"])
    return message


def test_an_asynchronous_answer_is_stored_and_told(cloud: UpCloud, runtime: Any, told: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket="later", Key="in.png", Body=example("cifar").read_bytes())
    taken = runtime.invoke_endpoint_async(
        EndpointName="cifar-later",
        InputLocation="s3://later/in.png",
        ContentType="image/png",
        InferenceId="mine",
    )
    assert taken["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert taken["InferenceId"] == "mine"
    message = heard(cloud, told)
    assert message["invocationStatus"] == "Completed"
    assert message["inferenceId"] == "mine"
    assert message["responseParameters"]["outputLocation"] == taken["OutputLocation"]
    assert message["requestParameters"]["inputLocation"] == "s3://later/in.png"
    key = taken["OutputLocation"].removeprefix("s3://later/")
    assert json.loads(s3.get_object(Bucket="later", Key=key)["Body"].read())["label"] == "ship"


def test_an_input_that_is_not_there_is_told_as_a_failure(
    cloud: UpCloud, runtime: Any, told: str
) -> None:
    taken = runtime.invoke_endpoint_async(
        EndpointName="cifar-later", InputLocation="s3://later/nothing.png"
    )
    message = heard(cloud, told)
    assert message["invocationStatus"] == "Failed"
    assert "s3://later/nothing.png" in message["failureReason"]
    key = taken["FailureLocation"].removeprefix("s3://later/")
    stored = cloud.client("s3").get_object(Bucket="later", Key=key)["Body"].read()
    assert b"cannot be read" in stored
