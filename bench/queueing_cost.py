"""What a million requests cost against load, by the queueing model and prices written down here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.queueing_model import fitted, per_million, seconds, servers_needed

# Requests a second on average; the fleet is as large as PEAK times that needs.
LOADS = (0.1, 1, 10, 100, 1000)
PEAK = 3.0
# How many times as long as a lone request one may take on average at the peak.
PATIENCE = 3.0
# The measured machine has two cores: one instance of two vCPUs, with two workers.
CASES = {"lenet-2": "LeNet", "vgg11-2": "VGG11", "inkwash-256-2": "inkwash 256 px"}


@dataclass(frozen=True)
class Way:
    """A way to serve.

    Attributes:
        name: for the table.
        price: dollars an hour of an instance of two vCPUs.
        around: dollars an hour of what is there besides: control plane, head, load balancer.
        least, most: instances.
    """

    name: str
    price: float
    around: float
    least: int
    most: int


# Dollars of us-east-1 by memory, November 2026: c7i.large and ml.c7i.large, EKS' control plane, a
# load balancer. A larger machine of the same kind costs as many times as much as it is larger.
MACHINE, HOSTED, PLANE, BALANCER = 0.089, 0.107, 0.10, 0.03
WAYS = (
    Way("one machine", MACHINE, 0.0, 1, 96),
    Way("SageMaker", HOSTED, 0.0, 2, 1000),
    Way("Kubernetes", MACHINE, PLANE + BALANCER, 2, 5000),
    Way("Ray on Kubernetes", MACHINE, PLANE + BALANCER + MACHINE, 2, 2000),
)


def table(record: Mapping[str, Any]) -> str:
    """Return dollars per million requests: a row for each model and load, a column a way."""
    names = " | ".join(way.name for way in WAYS)
    lines = [f"| | requests/s | instances | {names} |", "|---|--:|--:|" + "--:|" * len(WAYS)]
    for case, title in CASES.items():
        fit = fitted(record["cases"][case])
        for load in LOADS:
            count = servers_needed(fit, PEAK * load, PATIENCE * seconds(fit, 0.0))
            costs = " | ".join(_cost(way, count, load) for way in WAYS)
            lines.append(f"| {title} | {load:g} | {count} | {costs} |")
    return "\n".join(lines) + "\n"


def _cost(way: Way, count: int, load: float) -> str:
    if count > way.most:
        return "-"
    hourly = way.price * max(count, way.least) + way.around
    return f"{per_million(hourly, 1, load):.2f}"
