"""Serverless and multi-model endpoints, several variants, and what accounts ask for besides."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from deploy.aws.shapes import misfits, request_shape
from marquee.errors import MarqueeError
from marquee.sagemaker import alarms
from marquee.sagemaker.capacity import Serverless
from marquee.sagemaker.delete import delete
from marquee.sagemaker.deploy import deploy
from marquee.sagemaker.hosting import Hosting
from marquee.sagemaker.scaling import Scaling
from marquee.sagemaker.settings import AsyncSettings, Capture, VpcSettings
from tests.marquee.sagemaker.support import (
    BUCKET,
    HOSTING,
    QUEUE,
    REGION,
    RecordedAccount,
    hosting,
    model_request,
    variant,
)

FOLDER = f"s3://{BUCKET}/lions/"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
NETWORK = VpcSettings(("subnet-0a1b2c3d", "subnet-1a1b2c3d"), ("sg-0a1b2c3d",))
CAPTURE = Capture(f"s3://{BUCKET}/captured", 20, KEY)
SERVERLESS = hosting(capacity=Serverless(2048, 10, 2))
MULTI_MODEL = hosting(multi_model=True, model_data=FOLDER, instance_type="ml.g5.xlarge")
BOTH = hosting(
    variants=(
        variant("old", weight=9),
        variant("new", model_data=f"s3://{BUCKET}/new/model.tar.gz", instance_type="ml.c5.xlarge"),
    )
)
CLOSED = hosting(
    instance_type="ml.c5.xlarge",
    network=NETWORK,
    volume_key=KEY,
    capture=CAPTURE,
    tags={"team": "lions", "cost": "42"},
    asynchronous=AsyncSettings(output=f"s3://{BUCKET}/answers", key=KEY),
)


def config_of(endpoint: Hosting) -> Any:
    sagemaker = boto3.client("sagemaker", region_name=REGION)
    return sagemaker.describe_endpoint_config(EndpointConfigName=endpoint.config_name)


@pytest.mark.parametrize(
    "described",
    [SERVERLESS, MULTI_MODEL, BOTH, CLOSED],
    ids=["serverless", "multi-model", "variants", "closed"],
)
def test_aws_takes_the_requests(described: Hosting) -> None:
    config = request_shape("sagemaker", "CreateEndpointConfig")
    assert list(misfits(config, described.config_request(), "config")) == []
    shape = request_shape("sagemaker", "CreateModel")
    for request in described.model_requests().values():
        assert list(misfits(shape, request, "model")) == []


def test_a_serverless_endpoint_has_no_instances(account: RecordedAccount) -> None:
    deploy(account, SERVERLESS)
    (found,) = config_of(SERVERLESS)["ProductionVariants"]
    sizes = {"MemorySizeInMB": 2048, "MaxConcurrency": 10, "ProvisionedConcurrency": 2}
    assert found["ServerlessConfig"] == sizes
    for member in ("InstanceType", "ContainerStartupHealthCheckTimeoutInSeconds"):
        assert member not in found


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"memory": 512}, "--memory is 512; expected 1024, 2048"),
        ({"memory": 1500}, "--memory is 1500"),
        ({"memory": 7168}, "--memory is 7168"),
        ({"concurrency": 201}, "--max-concurrent is 201; expected 1 to 200"),
        ({"concurrency": 5, "provisioned": 6}, "--provisioned is 6; expected 1 to 5"),
    ],
)
def test_sizes_that_serverless_does_not_have(sizes: dict[str, int], words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        Serverless(**sizes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"asynchronous": QUEUE}, "--async does not go with --serverless"),
        ({"isolated": True}, "--isolated does not go with --serverless"),
        ({"network": NETWORK}, "--subnet does not go with --serverless"),
        ({"capture": CAPTURE}, "--data-capture does not go with --serverless"),
        ({"multi_model": True, "model_data": FOLDER}, "--multi-model does not go with --serverl"),
    ],
)
def test_what_serverless_does_not_have(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        hosting(capacity=Serverless(), **changes)


def test_serverless_and_queues_have_one_variant() -> None:
    with pytest.raises(MarqueeError, match="several --variant does not go with --serverless"):
        hosting(variants=(variant("a", capacity=Serverless()), variant("b")))
    with pytest.raises(MarqueeError, match="several --variant does not go with --async: a request"):
        hosting(variants=(variant("a"), variant("b")), asynchronous=QUEUE)
    with pytest.raises(MarqueeError, match="--multi-model does not go with --async: a request"):
        hosting(multi_model=True, model_data=FOLDER, asynchronous=QUEUE)


def test_a_multi_model_endpoint_has_a_folder() -> None:
    container = model_request(MULTI_MODEL)["PrimaryContainer"]
    assert (container["Mode"], container["ModelDataUrl"]) == ("MultiModel", FOLDER)
    assert "MultiModelConfig" not in container
    uncached = model_request(hosting(multi_model=True, model_data=FOLDER, model_cache=False))
    settings = uncached["PrimaryContainer"]["MultiModelConfig"]
    assert settings == {"ModelCacheSetting": "Disabled"}
    with pytest.raises(MarqueeError, match="expected a folder's address that ends with /"):
        hosting(multi_model=True)
    with pytest.raises(MarqueeError, match="a model.tar.gz otherwise"):
        hosting(model_data=FOLDER)


def test_variants_have_models_weights_and_instances(account: RecordedAccount) -> None:
    deploy(account, BOTH, scaling=Scaling(1, 3, 50))
    old, new = config_of(BOTH)["ProductionVariants"]
    assert [(one["VariantName"], one["InitialVariantWeight"]) for one in (old, new)] == [
        ("old", 9),
        ("new", 1),
    ]
    assert (old["InstanceType"], new["InstanceType"]) == ("ml.g4dn.xlarge", "ml.c5.xlarge")
    assert old["ModelName"] != new["ModelName"]
    gone = delete(account, "painter")
    assert gone[:3] == ["scaling of old", "scaling of new", "Endpoint painter"]
    assert len(gone) == 3 + 1 + 2


def test_variants_of_the_same_model_share_it() -> None:
    both = hosting(variants=(variant("small"), variant("large", instance_type="ml.g5.4xlarge")))
    assert both.model_requests() == HOSTING.model_requests()


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ((), "0 variants were named; expected 1 to 10"),
        (("a", "a"), "the variant a is named twice"),
        (("a_b",), "the variant's name is 'a_b'; expected up to 63 letters"),
    ],
)
def test_variants_that_cannot_be(variants: tuple[str, ...], words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        hosting(variants=tuple(variant(name) for name in variants))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_cannot_be(weight: float) -> None:
    with pytest.raises(MarqueeError, match="the weight of AllTraffic is"):
        variant(weight=weight)
    with pytest.raises(MarqueeError, match="all variants weigh 0"):
        hosting(weight=0)


def test_keys_networks_captures_and_tags(account: RecordedAccount) -> None:
    config = CLOSED.config_request()
    assert config["KmsKeyId"] == KEY
    assert config["AsyncInferenceConfig"]["OutputConfig"]["KmsKeyId"] == KEY
    capture = config["DataCaptureConfig"]
    assert (capture["InitialSamplingPercentage"], capture["KmsKeyId"]) == (20, KEY)
    assert [one["CaptureMode"] for one in capture["CaptureOptions"]] == ["Input", "Output"]
    assert model_request(CLOSED)["VpcConfig"] == {
        "Subnets": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    }
    deploy(account, CLOSED)
    sagemaker = boto3.client("sagemaker", region_name=REGION)
    arn = sagemaker.describe_endpoint(EndpointName="painter")["EndpointArn"]
    tags = [{"Key": "cost", "Value": "42"}, {"Key": "team", "Value": "lions"}]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert config["Tags"] == model_request(CLOSED)["Tags"] == tags


@pytest.mark.parametrize(
    ("instance_type", "own"),
    [
        ("ml.g4dn.xlarge", True),
        ("ml.g5.xlarge", True),
        ("ml.gr6.4xlarge", True),
        ("ml.p4d.24xlarge", True),
        ("ml.p5en.48xlarge", True),
        ("ml.m5d.large", True),
        ("ml.c6gd.xlarge", True),
        ("ml.m6id.large", True),
        ("ml.c5.xlarge", False),
        ("ml.m6i.large", False),
        ("ml.r7i.large", False),
        ("ml.c6gn.xlarge", False),
    ],
)
def test_a_key_is_for_volumes_alone(instance_type: str, own: bool) -> None:
    if not own:
        assert hosting(instance_type=instance_type, volume_key=KEY).config_request()["KmsKeyId"]
        return
    with pytest.raises(MarqueeError, match=f"{instance_type} has disks of its own.*leave --kms-k"):
        hosting(instance_type=instance_type, volume_key=KEY)


@pytest.mark.parametrize("key", [KEY, "alias/lions", KEY.rpartition("/")[2], f"mrk-{'0a' * 16}"])
def test_keys_have_arns_ids_and_names(key: str) -> None:
    assert AsyncSettings(f"s3://{BUCKET}/a", key=key).request()["OutputConfig"]["KmsKeyId"] == key


def test_settings_that_aws_would_refuse() -> None:
    with pytest.raises(MarqueeError, match="--kms-key is 'lions'; expected the ARN, id or alias"):
        hosting(instance_type="ml.c5.xlarge", volume_key="lions")
    with pytest.raises(MarqueeError, match="--output-kms-key is 'a b'"):
        AsyncSettings(f"s3://{BUCKET}/a", key="a b")
    with pytest.raises(MarqueeError, match="--data-capture is 'captured'; expected s3://"):
        Capture("captured")
    with pytest.raises(MarqueeError, match="--capture-percent is 0; expected 1 to 100"):
        Capture(f"s3://{BUCKET}/a", 0)
    with pytest.raises(MarqueeError, match="--security-group was said 0 times; expected 1 to 5"):
        VpcSettings(("subnet-0a1b2c3d",), ())
    with pytest.raises(MarqueeError, match="--subnet is 'vpc-1'; expected an id such as subnet-"):
        VpcSettings(("vpc-1",), ("sg-0a1b2c3d",))


def test_another_endpoints_alarms_stay(account: RecordedAccount) -> None:
    for endpoint in ("painter", "painter-marquee-errors"):
        fleet = alarms.Fleet(endpoint, "new", f"{endpoint}-0")
        account.make(alarms.errors_alarm(fleet, 0.1, 10))
        account.make(alarms.latency_alarm(fleet, 100))
    kinds = ("errors", "latency")
    assert alarms.names(account, "painter") == [f"painter-marquee-{one}-new" for one in kinds]
    assert len(alarms.names(account, "painter-marquee-errors")) == 2
