"""What an endpoint is made of: the requests for its model and its endpoint configuration."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.instances import host_ami
from marquee.sagemaker.tarball import Packed

# The name that AWS's own SDK gives the only variant.
VARIANT = "AllTraffic"
# SageMaker's names have 63 characters; ours add a dash and a digest to the endpoint's.
DIGEST = 12
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,49}")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+")
S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


@dataclass(frozen=True)
class AsyncSettings:
    """An asynchronous endpoint's own settings.

    Attributes:
        output: ``s3://`` prefix of the answers.
        failure: ``s3://`` prefix of what went wrong; without it nothing is written.
        success_topic, error_topic: SNS topics that hear of each.
        max_concurrent: requests an instance is given at once; SageMaker chooses when None.
    """

    output: str
    failure: str | None = None
    success_topic: str | None = None
    error_topic: str | None = None
    max_concurrent: int | None = None

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after minutes."""
        for what, value in given(**{"--output": self.output, "--failure": self.failure}).items():
            split_s3(value, what)
        topics = {"--success-topic": self.success_topic, "--error-topic": self.error_topic}
        for what, value in topics.items():
            if value is not None and not TOPIC.fullmatch(value):
                raise MarqueeError(
                    f"{what} is {value!r}; expected the ARN of an SNS topic, "
                    "arn:aws:sns:REGION:ACCOUNT:NAME"
                )

    def request(self) -> dict[str, Any]:
        """Return SageMaker's ``AsyncInferenceConfig``."""
        topics = given(SuccessTopic=self.success_topic, ErrorTopic=self.error_topic)
        paths = given(S3OutputPath=self.output, S3FailurePath=self.failure)
        client = given(MaxConcurrentInvocationsPerInstance=self.max_concurrent)
        output = paths | given(NotificationConfig=topics or None)
        return {"OutputConfig": output} | given(ClientConfig=client or None)


@dataclass(frozen=True)
class Hosting:
    """All of an endpoint but its scaling.

    Attributes:
        endpoint: its name.
        image: the container image's URI.
        role: the ARN of the role that SageMaker assumes.
        model_data: ``s3://`` address of the model.tar.gz.
        instance_type, count: the instances, and how many at the start.
        environment: of the container.
        startup_seconds: until the container must answer ``/ping``.
        isolated: the container reaches no network; ours needs none.
        asynchronous: settings of an asynchronous endpoint; real-time when None.
        packed: the model.tar.gz to upload to ``model_data``; None if it is there.
        ami: the host image of GPU instances; by default the one whose driver the container wants.
    """

    endpoint: str
    image: str
    role: str
    model_data: str
    instance_type: str
    count: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    startup_seconds: int = 600
    isolated: bool = False
    asynchronous: AsyncSettings | None = None
    packed: Packed | None = None
    ami: str | None = None

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after the upload."""
        check_endpoint_name(self.endpoint)
        if not ROLE.fullmatch(self.role):
            raise MarqueeError(
                f"--role is {self.role!r}; expected the ARN of a role that SageMaker may assume, "
                "arn:aws:iam::ACCOUNT:role/NAME"
            )
        host_ami(self.instance_type, self.ami)
        split_s3(self.model_data, "--model-data")

    @property
    def model_name(self) -> str:
        """The model's name: the same for the same contents, so that a second try goes on."""
        return f"{self.endpoint}-{_digest(self._model())}"

    @property
    def config_name(self) -> str:
        """The endpoint configuration's name: the same for the same contents."""
        return f"{self.endpoint}-{_digest(self._config())}"

    def _model(self) -> dict[str, Any]:
        container = {
            "Image": self.image,
            "ModelDataUrl": self.model_data,
            "Environment": dict(sorted(self.environment.items())),
        }
        isolation = {"EnableNetworkIsolation": True} if self.isolated else {}
        return {"ExecutionRoleArn": self.role, "PrimaryContainer": container} | isolation

    def model_request(self) -> dict[str, Any]:
        """Return the parameters of ``CreateModel``."""
        return {"ModelName": self.model_name} | self._model()

    def _config(self) -> dict[str, Any]:
        variant: dict[str, Any] = {
            "VariantName": VARIANT,
            "ModelName": self.model_name,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.count,
            "InitialVariantWeight": 1.0,
            "ContainerStartupHealthCheckTimeoutInSeconds": self.startup_seconds,
        }
        ami = host_ami(self.instance_type, self.ami)
        variant |= given(InferenceAmiVersion=ami)
        queue = {"AsyncInferenceConfig": self.asynchronous.request()} if self.asynchronous else {}
        return {"ProductionVariants": [variant]} | queue

    def config_request(self) -> dict[str, Any]:
        """Return the parameters of ``CreateEndpointConfig``."""
        return {"EndpointConfigName": self.config_name} | self._config()


def is_ours(endpoint: str, name: str) -> bool:
    """Whether a model or an endpoint configuration was made here for the endpoint."""
    return bool(re.fullmatch(rf"{re.escape(endpoint)}-[0-9a-f]{{{DIGEST}}}", name))


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def check_endpoint_name(name: str) -> None:
    """Refuse a name that SageMaker does not take."""
    if not NAME.fullmatch(name):
        raise MarqueeError(
            f"the endpoint's name is {name!r}; expected up to 50 letters, digits and single "
            "dashes inside (name it with --endpoint)"
        )


def split_s3(url: str, what: str) -> tuple[str, str]:
    """Return bucket and key of an ``s3://`` address, or refuse one that is none as ``what``."""
    found = S3.fullmatch(url)
    if found is None:
        raise MarqueeError(f"{what} is {url!r}; expected s3://BUCKET/PATH")
    return found[1], found[2] or ""


def _digest(request: Mapping[str, Any]) -> str:
    text = json.dumps(request, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
