"""Which instances are taken, and on which host image they run."""

from __future__ import annotations

import pytest

from deploy.aws.shapes import misfits, request_shape
from marquee.errors import MarqueeError
from marquee.sagemaker.instances import AMIS, GPU_AMI
from tests.marquee.sagemaker.support import QUEUE, hosting, model_request


@pytest.mark.parametrize(
    ("instance_type", "ami"),
    [
        ("ml.g4dn.xlarge", GPU_AMI),
        ("ml.p6-b200.48xlarge", GPU_AMI),
        ("ml.g6e.2xlarge", GPU_AMI),
        ("ml.g7e.2xlarge", GPU_AMI),
        ("ml.p5en.48xlarge", GPU_AMI),
        ("ml.c5.xlarge", None),
        ("ml.c6g.xlarge", None),
    ],
)
def test_gpus_come_with_the_driver(instance_type: str, ami: str | None) -> None:
    request = hosting(instance_type=instance_type).config_request()
    assert request["ProductionVariants"][0].get("InferenceAmiVersion") == ami


@pytest.mark.parametrize(
    "refused", ["ml.p2.xlarge", "ml.g3.4xlarge", "ml.p3.2xlarge", "ml.p3dn.24xlarge"]
)
def test_cards_without_kernels_are_refused(refused: str) -> None:
    with pytest.raises(MarqueeError, match="too old for CUDA 13"):
        hosting(instance_type=refused)
    # An image of one's own, for an older CUDA, names the host that it wants.
    hosting(instance_type=refused, ami=AMIS[1])


@pytest.mark.parametrize(
    "refused", ["ml.inf2.xlarge", "ml.trn1.2xlarge", "ml.dl1.24xlarge", "ml.g4ad.xlarge"]
)
def test_other_accelerators_are_refused(refused: str) -> None:
    with pytest.raises(MarqueeError, match="is not NVIDIA's"):
        hosting(instance_type=refused)


def test_a_host_image_needs_a_gpu() -> None:
    with pytest.raises(MarqueeError, match="has none; leave --ami away"):
        hosting(instance_type="ml.c5.xlarge", ami=GPU_AMI)


@pytest.mark.parametrize("ami", AMIS)
def test_aws_takes_the_requests(ami: str) -> None:
    made = hosting(asynchronous=QUEUE, ami=ami)
    config = request_shape("sagemaker", "CreateEndpointConfig")
    assert list(misfits(config, made.config_request(), "config")) == []
    model = request_shape("sagemaker", "CreateModel")
    assert list(misfits(model, model_request(made), "model")) == []
