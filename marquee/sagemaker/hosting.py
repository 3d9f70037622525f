"""What an endpoint is made of: the requests for its models and its endpoint configuration."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.capacity import Instances, Serverless
from marquee.sagemaker.instances import has_own_disk
from marquee.sagemaker.settings import AsyncSettings, Capture, VpcSettings
from marquee.sagemaker.tarball import Packed
from marquee.sagemaker.values import (
    ROLE,
    VARIANT_NAME,
    check,
    check_endpoint_name,
    check_key,
    given,
    split_s3,
)

# The name that AWS's own SDK gives the only variant.
VARIANT = "AllTraffic"
DIGEST = 12
MOST_VARIANTS = 10


@dataclass(frozen=True)
class Variant:
    """One of the production variants that share an endpoint's requests.

    Attributes:
        model_data: ``s3://`` address of the model.tar.gz, or of a multi-model endpoint's folder.
        packed: the model.tar.gz to upload to ``model_data``; None if it is there.
        name: SageMaker's ``VariantName``.
        weight: its part of the requests, by the sum of all weights.
        capacity: what it runs on.
    """

    model_data: str
    packed: Packed | None = None
    name: str = VARIANT
    weight: float = 1.0
    capacity: Instances | Serverless = field(default_factory=Instances)

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after the upload."""
        split_s3(self.model_data, "--model-data")
        expected = "up to 63 letters, digits and single dashes inside"
        check("the variant's name", self.name, VARIANT_NAME, expected)
        if not 0 <= self.weight < float("inf"):
            raise MarqueeError(f"the weight of {self.name} is {self.weight:g}; expected 0 or more")


@dataclass(frozen=True)
class Hosting:
    """All of an endpoint but its scaling.

    Attributes:
        endpoint: its name.
        image: the container image's URI.
        role: the ARN of the role that SageMaker assumes.
        variants: what shares its requests; mostly one.
        environment: of the containers.
        isolated: the containers reach no network; ours needs none.
        asynchronous: settings of an asynchronous endpoint; real-time when None.
        multi_model: requests name a model.tar.gz below the variant's ``model_data``, which is
            loaded then.
        model_cache: whether a multi-model endpoint keeps models loaded.
        network: of a VPC.
        volume_key: KMS key of the instances' volumes.
        capture: keeps requests and answers.
        tags: of models, configuration and endpoint.
    """

    endpoint: str
    image: str
    role: str
    variants: tuple[Variant, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False
    asynchronous: AsyncSettings | None = None
    multi_model: bool = False
    model_cache: bool = True
    network: VpcSettings | None = None
    volume_key: str | None = None
    capture: Capture | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after the upload."""
        check_endpoint_name(self.endpoint)
        expected = "the ARN of a role that SageMaker may assume, arn:aws:iam::ACCOUNT:role/NAME"
        check("--role", self.role, ROLE, expected)
        self._check_variants()
        self._check_data()
        self._check_key()
        self._check_kind()

    def _check_variants(self) -> None:
        if not 1 <= len(self.variants) <= MOST_VARIANTS:
            raise MarqueeError(
                f"{len(self.variants)} variants were named; expected 1 to {MOST_VARIANTS}"
            )
        twice = {name for name in self.variant_names if self.variant_names.count(name) > 1}
        if twice:
            raise MarqueeError(
                f"the variant {min(twice)} is named twice; give each a name of its own"
            )
        if not any(variant.weight for variant in self.variants):
            raise MarqueeError("all variants weigh 0; give one that takes requests a weight")

    def _check_data(self) -> None:
        for variant in self.variants:
            if variant.model_data.endswith("/") != self.multi_model:
                raise MarqueeError(
                    f"the model data is {variant.model_data!r}; expected a folder's address that "
                    "ends with / for --multi-model, and a model.tar.gz otherwise"
                )

    def _check_key(self) -> None:
        check_key("--kms-key", self.volume_key)
        kinds = [variant.capacity.kind for variant in self.variants]
        own = [kind for kind in kinds if kind and has_own_disk(kind)]
        if self.volume_key is not None and own:
            raise MarqueeError(
                f"--kms-key encrypts volumes, and {own[0]} has disks of its own, which its "
                "hardware encrypts and no key of yours; leave --kms-key away, or take a type "
                "without such disks, as ml.c5.xlarge (answers have --output-kms-key)"
            )

    def _check_kind(self) -> None:
        """Refuse combinations that SageMaker does not have."""
        several = len(self.variants) > 1
        queue: dict[str, object] = {
            "several --variant": several,
            "--multi-model": self.multi_model,
        }
        if self.asynchronous is not None:
            why = "a request of a queue can name neither a variant nor a model"
            _exclude("--async", queue, why)
        if self.is_serverless:
            rest: dict[str, object] = {
                "--async": self.asynchronous,
                "--isolated": self.isolated,
                "--subnet": self.network,
                "--data-capture": self.capture,
            }
            _exclude("--serverless", rest | queue, "SageMaker's serverless endpoints have none")

    @property
    def is_serverless(self) -> bool:
        """Whether it has no instances."""
        return any(isinstance(variant.capacity, Serverless) for variant in self.variants)

    @property
    def variant_names(self) -> list[str]:
        """The names of its production variants."""
        return [variant.name for variant in self.variants]

    @property
    def uploads(self) -> dict[str, Packed]:
        """What is to be uploaded, by ``s3://`` addresses."""
        return {one.model_data: one.packed for one in self.variants if one.packed is not None}

    def model_requests(self) -> dict[str, dict[str, Any]]:
        """Return the parameters of ``CreateModel`` by the models' names.

        A name is the same for the same contents, so that a second try goes on.
        """
        models = (self._model(variant) for variant in self.variants)
        named = {self._name(model): model for model in models}
        return {name: {"ModelName": name} | model for name, model in named.items()}

    def _name(self, contents: Mapping[str, Any]) -> str:
        return f"{self.endpoint}-{_digest(contents)}"

    def _model(self, variant: Variant) -> dict[str, Any]:
        container: dict[str, Any] = {
            "Image": self.image,
            "ModelDataUrl": variant.model_data,
            "Environment": dict(sorted(self.environment.items())),
        }
        if self.multi_model:
            container["Mode"] = "MultiModel"
            if not self.model_cache:
                container["MultiModelConfig"] = {"ModelCacheSetting": "Disabled"}
        isolation = {"EnableNetworkIsolation": True} if self.isolated else {}
        network = given(VpcConfig=self.network and self.network.request())
        model = {"ExecutionRoleArn": self.role, "PrimaryContainer": container}
        return model | isolation | network | self.tagging

    @property
    def tagging(self) -> dict[str, Any]:
        """The ``Tags`` of a request, if there are any."""
        tags = [{"Key": key, "Value": value} for key, value in sorted(self.tags.items())]
        return given(Tags=tags or None)

    @property
    def config_name(self) -> str:
        """The endpoint configuration's name: the same for the same contents."""
        return self._name(self._config())

    def _config(self) -> dict[str, Any]:
        variants = [
            {
                "VariantName": variant.name,
                "ModelName": self._name(self._model(variant)),
                "InitialVariantWeight": float(variant.weight),
            }
            | variant.capacity.request()
            for variant in self.variants
        ]
        more = given(
            AsyncInferenceConfig=self.asynchronous and self.asynchronous.request(),
            DataCaptureConfig=self.capture and self.capture.request(),
            KmsKeyId=self.volume_key,
        )
        return {"ProductionVariants": variants} | more | self.tagging

    def config_request(self) -> dict[str, Any]:
        """Return the parameters of ``CreateEndpointConfig``."""
        return {"EndpointConfigName": self.config_name} | self._config()


def _exclude(kind: str, rest: Mapping[str, object], why: str) -> None:
    for what, value in rest.items():
        if value:
            raise MarqueeError(f"{what} does not go with {kind}: {why}; leave one of both away")


def is_ours(endpoint: str, name: str) -> bool:
    """Whether a model or an endpoint configuration was made here for the endpoint."""
    return bool(re.fullmatch(rf"{re.escape(endpoint)}-[0-9a-f]{{{DIGEST}}}", name))


def _digest(request: Mapping[str, Any]) -> str:
    text = json.dumps(request, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
