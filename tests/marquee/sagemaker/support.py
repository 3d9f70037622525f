"""What the tests of the SageMaker commands share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from marquee.sagemaker.account import Account, Answer, Call
from marquee.sagemaker.hosting import AsyncSettings, Hosting
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
HOSTING = Hosting(
    endpoint="painter",
    image=IMAGE,
    role=ROLE,
    model_data=f"s3://{BUCKET}/marquee/painter/0/model.tar.gz",
    instance_type="ml.g4dn.xlarge",
    environment={"SAGEMAKER_TS_BATCH_SIZE": "4"},
)


def hosting(**changes: Any) -> Hosting:
    return replace(HOSTING, **changes)


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
