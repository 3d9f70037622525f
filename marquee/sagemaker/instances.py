"""Which of SageMaker's instances the container can use, and on which host image."""

from __future__ import annotations

import re

from marquee.errors import MarqueeError

# The host images with NVIDIA's driver that AWS's API names. The container's torch is made for
# CUDA 13, which wants driver 580: the first has it, the others 535 and 550, for other images.
# Nothing in that API says which families the first exists for. AWS's own examples and packages run
# it on g4dn, g5, g6, g6e, g7e, p4d, p4de, p5, p5e, p5en and p6-b200; newer ones are left to AWS.
GPU_AMI = "al2023-ami-sagemaker-inference-gpu-4-1"
AMIS = (
    GPU_AMI,
    "al2-ami-sagemaker-inference-gpu-3-1",
    "al2-ami-sagemaker-inference-gpu-2-1",
    "al2-ami-sagemaker-inference-gpu-2",
)
# The newest that the API names for batch transform, with driver 535.
BATCH_AMI = "al2-ami-sagemaker-batch-gpu-535"
TYPE = re.compile(r"ml\.([a-z]+)([0-9]+[a-z0-9-]*)\.[a-z0-9-]+")
# Kepler, Maxwell and Volta: CUDA 13 has no kernels for them.
OLD = ("p2", "g3", "g3s", "p3", "p3dn")
# Accelerators that are not NVIDIA's: Neuron's, Gaudi, and AMD's.
OTHERS = ("inf", "trn", "dl")
OTHER_FAMILIES = ("g4ad",)


def has_gpu(instance_type: str) -> bool:
    """Whether the type has an NVIDIA GPU: SageMaker's families g and p have, no others."""
    return _family(instance_type)[0] in ("g", "p")


def has_own_disk(instance_type: str) -> bool:
    """Whether the type keeps data on disks of its own: a "d" in its name says so, or its family."""
    letters, rest = _family(instance_type)
    if letters in ("g", "gr", "p") and letters + rest not in ("p2", "p3"):
        return True
    return letters in ("i", "trn", "dl") or "d" in rest


def host_ami(instance_type: str, chosen: str | None) -> str | None:
    """Return the host image for the type, or None where SageMaker's default serves.

    Raises:
        MarqueeError: the container cannot use the type, or the type takes no such image.
    """
    letters, rest = _family(instance_type)
    is_other = letters in OTHERS or letters + rest in OTHER_FAMILIES
    if is_other or (chosen in (None, GPU_AMI) and letters + rest in OLD):
        why = "is not NVIDIA's" if is_other else "is too old for CUDA 13"
        raise MarqueeError(
            f"--instance-type is {instance_type!r}, whose accelerator {why}; the container cannot "
            "use it: take a processor's, such as ml.c5.xlarge, or a GPU of ml.g4dn or newer"
        )
    if letters in ("g", "p"):
        return chosen or GPU_AMI
    if chosen is not None:
        raise MarqueeError(
            f"--ami {chosen} is for instances with an NVIDIA GPU, and {instance_type} has none; "
            "leave --ami away, or take ml.g4dn.xlarge"
        )
    return None


def transform_ami(instance_type: str, chosen: str | None) -> str | None:
    """Return the host image of a batch transform job, which has no default that would do for GPUs.

    Raises:
        MarqueeError: as :func:`host_ami`; or a GPU was asked for and no image named.
    """
    if host_ami(instance_type, chosen) is not None and chosen is None:
        raise MarqueeError(
            f"--instance-type is {instance_type!r}, and batch transform's hosts have NVIDIA's "
            "driver 470 or 535, where the container's CUDA 13 wants 580; take a processor's, such "
            "as ml.c5.4xlarge, or an endpoint (deploy --async), or name a host for a container of "
            f"your own with --ami {BATCH_AMI}"
        )
    return chosen


def _family(instance_type: str) -> tuple[str, str]:
    found = TYPE.fullmatch(instance_type)
    if found is None:
        raise MarqueeError(
            f"--instance-type is {instance_type!r}; expected one of SageMaker's, such as "
            "ml.g4dn.xlarge or ml.c5.xlarge"
        )
    return found[1], found[2]
