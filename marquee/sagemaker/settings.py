"""Settings that an endpoint may have besides: a queue, a network, captured requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.values import TOPIC, check, check_key, given, split_s3

SUBNET, GROUP = re.compile(r"subnet-[0-9a-f]+"), re.compile(r"sg-[0-9a-f]+")
MOST_SUBNETS, MOST_GROUPS = 16, 5


@dataclass(frozen=True)
class AsyncSettings:
    """An asynchronous endpoint's own settings.

    Attributes:
        output: ``s3://`` prefix of the answers.
        failure: ``s3://`` prefix of what went wrong; without it nothing is written.
        success_topic, error_topic: SNS topics that hear of each.
        max_concurrent: requests an instance is given at once; SageMaker chooses when None.
        key: KMS key that answers are encrypted with.
    """

    output: str
    failure: str | None = None
    success_topic: str | None = None
    error_topic: str | None = None
    max_concurrent: int | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after minutes."""
        for what, value in given(**{"--output": self.output, "--failure": self.failure}).items():
            split_s3(value, what)
        expected = "the ARN of an SNS topic, arn:aws:sns:REGION:ACCOUNT:NAME"
        check("--success-topic", self.success_topic, TOPIC, expected)
        check("--error-topic", self.error_topic, TOPIC, expected)
        check_key("--output-kms-key", self.key)

    def request(self) -> dict[str, Any]:
        """Return SageMaker's ``AsyncInferenceConfig``."""
        topics = given(SuccessTopic=self.success_topic, ErrorTopic=self.error_topic)
        paths = given(S3OutputPath=self.output, S3FailurePath=self.failure, KmsKeyId=self.key)
        client = given(MaxConcurrentInvocationsPerInstance=self.max_concurrent)
        output = paths | given(NotificationConfig=topics or None)
        return {"OutputConfig": output} | given(ClientConfig=client or None)


@dataclass(frozen=True)
class VpcSettings:
    """The part of a VPC that the containers are put into: ids of subnets and security groups."""

    subnets: tuple[str, ...]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what is not there twice, or is no id."""
        for what, ids, form, most in (
            ("--subnet", self.subnets, SUBNET, MOST_SUBNETS),
            ("--security-group", self.groups, GROUP, MOST_GROUPS),
        ):
            if not 1 <= len(ids) <= most:
                raise MarqueeError(
                    f"{what} was said {len(ids)} times; expected 1 to {most} times, with both "
                    "--subnet and --security-group"
                )
            for one in ids:
                check(what, one, form, f"an id such as {form.pattern[:-9]}0a1b2c3d")

    def request(self) -> dict[str, Any]:
        """Return SageMaker's ``VpcConfig``."""
        return {"Subnets": [*self.subnets], "SecurityGroupIds": [*self.groups]}


@dataclass(frozen=True)
class Capture:
    """Requests and answers that SageMaker keeps in S3.

    Attributes:
        destination: their ``s3://`` prefix.
        percent: of the requests, 1 to 100.
        key: KMS key that they are encrypted with.
    """

    destination: str
    percent: int = 100
    key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after the upload."""
        split_s3(self.destination, "--data-capture")
        check_key("--output-kms-key", self.key)
        if not 1 <= self.percent <= 100:
            raise MarqueeError(f"--capture-percent is {self.percent}; expected 1 to 100")

    def request(self) -> dict[str, Any]:
        """Return SageMaker's ``DataCaptureConfig``; what is no JSON is kept in base64."""
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": self.percent,
            "DestinationS3Uri": self.destination,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        } | given(KmsKeyId=self.key)
