"""What the tests of the SageMaker commands share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from marquee.sagemaker.hosting import Asynchronous, Hosting
from marquee.sagemaker.tarball import Packed, write

REGION = "eu-west-1"
BUCKET = "models-of-tests"
ROLE = "arn:aws:iam::123456789012:role/service/sagemaker"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/marquee:0.1.0"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:done"
QUEUE = Asynchronous(
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


def small_tarball(folder: Path) -> Packed:
    content = folder / "content.mar"
    content.write_bytes(b"an archive")
    return write({"painter-1.0.mar": content}, folder / "model.tar.gz")
