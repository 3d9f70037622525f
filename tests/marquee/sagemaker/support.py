"""What the tests of the SageMaker commands share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from marquee.sagemaker.account import Account, Answer, Call
from marquee.sagemaker.capacity import Instances
from marquee.sagemaker.hosting import VARIANT, Hosting, Variant
from marquee.sagemaker.settings import AsyncSettings
from marquee.sagemaker.tarball import Packed, write

REGION = "eu-west-1"
BUCKET = "models-of-tests"
ROLE = "arn:aws:iam::123456789012:role/service/sagemaker"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/marquee:0.1.0"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:done"
QUEUE = AsyncSettings(
    output=f"s3://{BUCKET}/answers/",
    failure=f"s3://{BUCKET}/failures/",
    success_topic=TOPIC,
    error_topic=TOPIC,
    max_concurrent=2,
)
OF_INSTANCES = ("instance_type", "count", "ami", "startup_seconds")
OF_VARIANTS = ("model_data", "packed", "weight", "capacity")


def variant(name: str = VARIANT, **changes: Any) -> Variant:
    """A variant on a GPU instance, with changes to itself and to its instances."""
    own = {one: changes[one] for one in OF_INSTANCES if one in changes}
    kind = own.pop("instance_type", "ml.g4dn.xlarge")
    described: dict[str, Any] = {
        "model_data": f"s3://{BUCKET}/marquee/painter/0/model.tar.gz",
        "name": name,
        "capacity": Instances(kind, **own),
    }
    rest = {one: value for one, value in changes.items() if one in OF_VARIANTS}
    return Variant(**described | rest)


def hosting(**changes: Any) -> Hosting:
    """A real-time endpoint with one variant, with changes to itself and to its variant."""
    of_variant = {one: changes.pop(one) for one in (*OF_INSTANCES, *OF_VARIANTS) if one in changes}
    described = {
        "endpoint": "painter",
        "image": IMAGE,
        "role": ROLE,
        "variants": (variant(**of_variant),),
        "environment": {"SAGEMAKER_TS_BATCH_SIZE": "4"},
    }
    return Hosting(**described | changes)


HOSTING = hosting()


def model_request(of: Hosting = HOSTING) -> dict[str, Any]:
    """The request for the only model."""
    (request,) = of.model_requests().values()
    return request


def model_name(of: Hosting = HOSTING) -> str:
    return str(model_request(of)["ModelName"])


class RecordedAccount(Account):
    """An account that keeps which calls were made; the same again while waiting is one."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.operations: list[str] = []

    def make(self, call: Call) -> Answer:
        if self.operations[-1:] != [call.operation] or call.operation.startswith("Put"):
            self.operations.append(call.operation)
        return super().make(call)


def operations(calls: Iterable[Call]) -> list[str]:
    return [call.operation for call in calls]


def small_tarball(folder: Path) -> Packed:
    content = folder / "content.mar"
    content.write_bytes(b"an archive")
    return write({"painter-1.0.mar": content}, folder / "model.tar.gz")
