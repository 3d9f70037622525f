"""What AWS's own description of its calls, botocore's, says of requests before they are made."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape

# The call that CloudFormation makes of each kind of resource, and the name that it gives the
# resource where the template gives none.
CALLS = {
    "AWS::SageMaker::Model": ("sagemaker", "CreateModel", "ModelName"),
    "AWS::SageMaker::EndpointConfig": ("sagemaker", "CreateEndpointConfig", "EndpointConfigName"),
    # UpdateEndpoint takes all that CreateEndpoint takes, and what an update is to keep.
    "AWS::SageMaker::Endpoint": ("sagemaker", "UpdateEndpoint", "EndpointName"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm", "AlarmName"),
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "application-autoscaling",
        "RegisterScalableTarget",
        "ResourceId",
    ),
}


@functools.cache
def request_shape(service: str, operation: str) -> Shape:
    """Return the description of an operation's request."""
    model = botocore.session.get_session().get_service_model(service)
    shape: Shape = model.operation_model(operation).input_shape
    return shape


def resource_misfits(name: str, kind: str, properties: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each property that AWS would refuse; other kinds are passed over."""
    if kind in CALLS:
        service, operation, own = CALLS[kind]
        request = {own: f"a-{name}"} | properties
        yield from misfits(request_shape(service, operation), request, name)


def misfits(shape: Shape, value: Any, where: str) -> Iterator[str]:
    """Yield a sentence for each member, at any depth, that is unknown, missing or out of bounds.

    The SDK's own check knows neither patterns nor enumerations nor upper bounds.
    """
    if isinstance(shape, StructureShape):
        yield from _in_structure(shape, value, where)
    elif isinstance(shape, ListShape):
        yield from _in_bounds(shape, len(value), where)
        for number, one in enumerate(value):
            yield from misfits(shape.member, one, f"{where}[{number}]")
    elif isinstance(shape, MapShape):
        for key, one in value.items():
            yield from misfits(shape.value, one, f"{where}.{key}")
    elif shape.type_name == "string":
        yield from _in_text(shape, str(value), where)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _in_bounds(shape, float(value), where)


def _in_structure(shape: StructureShape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is {value!r}; an object with {', '.join(shape.members)} is expected"
        return
    for name in sorted(set(shape.required_members) - value.keys()):
        yield f"{where} lacks {name}, which AWS requires"
    for name, one in value.items():
        if name in shape.members:
            yield from misfits(shape.members[name], one, f"{where}.{name}")
        else:
            yield f"{where} has {name}, which AWS does not know"


def _in_text(shape: Shape, value: str, where: str) -> Iterator[str]:
    allowed = getattr(shape, "enum", [])
    if allowed and value not in allowed:
        yield f"{where} is {value!r}; expected one of {', '.join(allowed)}"
    pattern = _compiled(shape.metadata.get("pattern", ".*"))
    if pattern is not None and not pattern.fullmatch(value):
        yield f"{where} is {value!r}; expected what matches {pattern.pattern}"
    yield from _in_bounds(shape, len(value), where)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return a pattern of Java's, or None where Python's words are others (classes of letters)."""
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None


def _in_bounds(shape: Shape, size: float, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{where} is {size:g} long or large; expected {low} to {high}"
