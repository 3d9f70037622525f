"""Endpoints on an emulator: what is created, gone on with, scaled, deleted."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from marquee.errors import MarqueeError
from marquee.sagemaker import objects
from marquee.sagemaker.account import Account
from marquee.sagemaker.delete import delete
from marquee.sagemaker.delete import dry_run as dry_delete
from marquee.sagemaker.deploy import data_address, deploy, dry_run
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.settings import AsyncSettings
from tests.marquee.sagemaker.support import (
    BUCKET,
    HOSTING,
    IMAGE,
    QUEUE,
    REGION,
    ROLE,
    TOPIC,
    RecordedAccount,
    hosting,
    model_name,
    model_request,
    operations,
    small_tarball,
)


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def test_an_endpoint_from_a_tarball(account: Account, tmp_path: Path) -> None:
    packed = small_tarball(tmp_path)
    address = data_address(packed, BUCKET, "/some/prefix/", "painter")
    key = f"some/prefix/painter/{packed.sha256[:16]}/model.tar.gz"
    assert address == f"s3://{BUCKET}/{key}"
    wanted = hosting(model_data=address, packed=packed, count=2, startup_seconds=900, isolated=True)
    deploy(account, wanted)
    stored = client("s3").get_object(Bucket=BUCKET, Key=key)
    assert stored["Body"].read() == packed.path.read_bytes()
    found = client("sagemaker").describe_endpoint(EndpointName="painter")
    assert found["EndpointStatus"] == "InService"
    config = client("sagemaker").describe_endpoint_config(
        EndpointConfigName=found["EndpointConfigName"]
    )
    (variant,) = config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.g4dn.xlarge"
    assert variant["InitialInstanceCount"] == 2
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 900
    model = client("sagemaker").describe_model(ModelName=variant["ModelName"])
    assert model["ExecutionRoleArn"] == ROLE
    assert model["PrimaryContainer"]["Image"] == IMAGE
    assert model["PrimaryContainer"]["ModelDataUrl"] == address
    assert model["PrimaryContainer"]["Environment"] == {"SAGEMAKER_TS_BATCH_SIZE": "4"}


def test_an_asynchronous_endpoint(account: Account) -> None:
    wanted = hosting(asynchronous=QUEUE)
    deploy(account, wanted)
    config = client("sagemaker").describe_endpoint_config(EndpointConfigName=wanted.config_name)
    assert config["AsyncInferenceConfig"] == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
        "OutputConfig": {
            "S3OutputPath": f"s3://{BUCKET}/answers/",
            "S3FailurePath": f"s3://{BUCKET}/failures/",
            "NotificationConfig": {"SuccessTopic": TOPIC, "ErrorTopic": TOPIC},
        },
    }


def test_a_second_try_goes_on_where_the_first_ended(account: Account, tmp_path: Path) -> None:
    packed, steps = small_tarball(tmp_path), list[str]()
    address = data_address(packed, BUCKET, "", "painter")
    wanted = hosting(model_data=address, packed=packed)
    account.make(objects.upload(packed.path, address, "x/y"))
    client("sagemaker").create_model(**model_request(wanted))
    account.report = steps.append
    deploy(account, wanted)
    assert steps[:4] == [
        f"{address} is there already",
        f"Model {model_name(wanted)} is there already",
        f"Creating EndpointConfig {wanted.config_name}",
        "Creating Endpoint painter",
    ]
    deploy(account, wanted)
    with pytest.raises(MarqueeError, match="exists with another configuration and is InService"):
        deploy(account, hosting(count=3))


def test_a_dry_run_names_the_calls_that_are_made(account: RecordedAccount) -> None:
    queue, scaling = hosting(asynchronous=QUEUE), Scaling(0, 3, 5, asynchronous=True)
    deploy(account, queue, scaling=scaling)
    assert account.operations == operations(dry_run(queue, scaling))
    account.operations.clear()
    delete(account, "painter")
    assert account.operations == operations(dry_delete("painter"))


def test_names_follow_the_contents() -> None:
    assert hosting().config_name == HOSTING.config_name
    other = hosting(image=f"{IMAGE}.1")
    assert model_name(other) != model_name()
    assert other.config_name != HOSTING.config_name
    assert model_name(hosting(count=2)) == model_name()
    assert len(hosting(endpoint="e" * 50).config_name) == 63


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": "a_b"}, "the endpoint's name is 'a_b'"),
        ({"endpoint": "e" * 51}, "up to 50 letters"),
        ({"role": "admin"}, "--role is 'admin'; expected the ARN"),
        ({"instance_type": "g4dn.xlarge"}, "--instance-type is 'g4dn.xlarge'"),
        ({"model_data": "folder/model.tar.gz"}, "--model-data is 'folder/model.tar.gz'"),
    ],
)
def test_what_aws_would_refuse_later(changes: dict[str, str], words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        hosting(**changes)


def test_what_a_queue_would_refuse_later() -> None:
    with pytest.raises(MarqueeError, match="--output is 'answers'"):
        AsyncSettings("answers")
    with pytest.raises(MarqueeError, match="--failure is 'x'"):
        AsyncSettings("s3://bucket/a", failure="x")
    with pytest.raises(MarqueeError, match="--error-topic is 'oops'; expected the ARN"):
        AsyncSettings("s3://bucket/a", error_topic="oops")


def test_real_time_scaling_follows_invocations(account: Account) -> None:
    deploy(account, HOSTING, scaling=Scaling(1, 4, 70))
    scaling = client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert target["ResourceId"] == "endpoint/painter/variant/AllTraffic"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 70
    assert tracking["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    }


def test_a_queue_scales_to_zero_and_back(account: Account) -> None:
    deploy(account, hosting(asynchronous=QUEUE), scaling=Scaling(0, 3, 5, asynchronous=True))
    scaling = client("application-autoscaling")
    found = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    policies = {policy["PolicyName"]: policy for policy in found}
    tracking = policies["painter-target"]["TargetTrackingScalingPolicyConfiguration"]
    metric = tracking["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": "painter"}]
    (alarm,) = client("cloudwatch").describe_alarms(AlarmNames=["painter-marquee-backlog"])[
        "MetricAlarms"
    ]
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert alarm["AlarmActions"] == [policies["painter-wake"]["PolicyARN"]]


@pytest.mark.parametrize(
    ("bounds", "asynchronous"),
    [((0, 2, 1.0), False), ((3, 2, 1.0), True), ((0, 0, 1.0), True), ((1, 2, 0.0), False)],
)
def test_scaling_that_makes_no_sense(bounds: tuple[int, int, float], asynchronous: bool) -> None:
    with pytest.raises(MarqueeError, match="--scaling is .*; expected MIN"):
        Scaling(*bounds, asynchronous=asynchronous)


def test_delete_leaves_nothing_of_ours_and_all_of_others(account: Account) -> None:
    queue = hosting(asynchronous=QUEUE)
    deploy(account, queue, scaling=Scaling(0, 3, 5, asynchronous=True))
    other = hosting(endpoint="painter-2")
    deploy(account, other)
    sagemaker = client("sagemaker")
    sagemaker.create_model(**model_request(hosting(image="left.by/an:update")))
    theirs = model_request() | {"ModelName": "painter-by-hand"}
    sagemaker.create_model(**theirs)
    gone = delete(account, "painter")
    assert gone[:3] == [
        "scaling of AllTraffic",
        "alarm painter-marquee-backlog",
        "Endpoint painter",
    ]
    assert len(gone) == 3 + 1 + 2
    endpoints = sagemaker.list_endpoints()["Endpoints"]
    assert [one["EndpointName"] for one in endpoints] == ["painter-2"]
    left = {one["ModelName"] for one in sagemaker.list_models()["Models"]}
    assert left == {model_name(other), "painter-by-hand"}
    configs = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [one["EndpointConfigName"] for one in configs] == [other.config_name]
    assert not client("cloudwatch").describe_alarms()["MetricAlarms"]
    targets = client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker"
    )
    assert not targets["ScalableTargets"]
    assert delete(account, "painter") == []


def described(status: str, **more: str) -> dict[str, Any]:
    """What DescribeEndpoint answers, in the shape that the stubber checks."""
    return {
        "EndpointName": "painter",
        "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/painter",
        "EndpointConfigName": HOSTING.config_name,
        "EndpointStatus": status,
        "CreationTime": 0,
        "LastModifiedTime": 0,
    } | more


def listed(status: str) -> dict[str, Any]:
    names = ("EndpointName", "EndpointArn", "EndpointStatus", "CreationTime", "LastModifiedTime")
    found = described(status)
    return {"Endpoints": [{name: found[name] for name in names}]}


def test_waiting_ends_with_the_reason_of_a_failure(account: Account, control: Stubber) -> None:
    steps: list[str] = []
    account.report = steps.append
    control.add_response("list_endpoints", listed("Creating"), {"NameContains": "painter"})
    for answer in (
        described("Creating"),
        described("Creating"),
        described("Failed", FailureReason="The primary container did not pass the ping."),
    ):
        control.add_response("describe_endpoint", answer, {"EndpointName": "painter"})
    with pytest.raises(MarqueeError, match="is Failed: The primary .* the ping; its log is"):
        deploy(account, HOSTING)
    assert steps == ["Creating"]


def test_waiting_is_bounded(account: Account, control: Stubber) -> None:
    control.add_response("list_endpoints", listed("Creating"))
    for _ in range(2):
        control.add_response("describe_endpoint", described("Creating"))
    with pytest.raises(MarqueeError, match="still Creating after 0 s; SageMaker goes on"):
        deploy(account, HOSTING, timeout=0)
