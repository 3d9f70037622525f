"""What a variant runs on: instances, or SageMaker's serverless containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.instances import host_ami
from marquee.sagemaker.values import given

DEFAULT_TYPE = "ml.c5.xlarge"
MOST_CONCURRENCY = 200


@dataclass(frozen=True)
class Instances:
    """Instances of a type.

    Attributes:
        kind: the instance type.
        count: how many at the start.
        ami: the host image of GPU instances; by default the one whose driver the container wants.
        startup_seconds: until the container must answer ``/ping``.
    """

    kind: str = DEFAULT_TYPE
    count: int = 1
    ami: str | None = None
    startup_seconds: int = 600

    def __post_init__(self) -> None:
        """Refuse a type that the container cannot use."""
        host_ami(self.kind, self.ami)

    def request(self) -> dict[str, Any]:
        """Return a production variant's members for it."""
        return {
            "InstanceType": self.kind,
            "InitialInstanceCount": self.count,
            "ContainerStartupHealthCheckTimeoutInSeconds": self.startup_seconds,
        } | given(InferenceAmiVersion=host_ami(self.kind, self.ami))


@dataclass(frozen=True)
class Serverless:
    """Containers that come with the requests and go without them; no GPU.

    Attributes:
        memory: of each, in MB: 1024 to 6144 in steps of 1024; processors come in proportion.
        concurrency: how many there may be at once, 1 to 200: each takes one request at a time.
        provisioned: how many of them are always there, and paid for.
    """

    memory: int = 4096
    concurrency: int = 5
    provisioned: int | None = None

    kind = ""  # as DescribeEndpointConfig has no InstanceType for it

    def __post_init__(self) -> None:
        """Refuse what SageMaker does not have."""
        if self.memory not in range(1024, 6145, 1024):
            raise MarqueeError(
                f"--memory is {self.memory}; expected 1024, 2048, 3072, 4096, 5120 or 6144 (MB)"
            )
        bounds = {"--max-concurrent": (self.concurrency, MOST_CONCURRENCY)}
        if self.provisioned is not None:
            bounds["--provisioned"] = (self.provisioned, self.concurrency)
        for what, (value, most) in bounds.items():
            if not 1 <= value <= most:
                raise MarqueeError(f"{what} is {value}; expected 1 to {most} with --serverless")

    def request(self) -> dict[str, Any]:
        """Return a production variant's members for it."""
        settings = {"MemorySizeInMB": self.memory, "MaxConcurrency": self.concurrency}
        return {"ServerlessConfig": settings | given(ProvisionedConcurrency=self.provisioned)}
