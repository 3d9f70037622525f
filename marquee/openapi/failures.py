"""The errors of a server: one shape for all, when each is given, and an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from marquee.media import JSON

Document = dict[str, Any]
ERROR: Document = {
    "type": "object",
    "description": "The shape of all errors.",
    "properties": {
        "code": {"type": "integer", "description": "the status", "minimum": 400, "maximum": 599},
        "type": {"type": "string", "description": "the kind, by TorchServe's names"},
        "message": {
            "type": "string",
            "description": "what was wrong, what was expected, what to do",
        },
    },
    "required": ["code", "type", "message"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Failure:
    """A status that is no success.

    Attributes:
        text: when it is given.
        examples: kind -> message.
        front: whether a front door gives it, and nobody else.
    """

    text: str
    examples: Mapping[str, str] = field(default_factory=dict)
    front: bool = False


FAILURES = {
    400: Failure(
        "Malformed: no input, a damaged file, bad JSON or base64, a wrong shape, a parameter that "
        "is unknown or out of range; or no valid key.",
        {
            "BadRequestException": "parameter 'top_k' is '99', expected integer from 1 to 10 "
            "classes",
            "InvalidKeyException": "Token Authorization failed. Token either incorrect, expired, "
            "or not provided correctly",
        },
    ),
    404: Failure(
        "There is no such model or version.",
        {"ModelNotFoundException": "Model not found: cifra"},
    ),
    406: Failure(
        "The model answers in none of the types in Accept, or the picture is too long for a JPEG.",
        {
            "NotAcceptableException": "cannot answer as 'text/html'; choose one of "
            "application/json, application/x-npy"
        },
    ),
    408: Failure(
        "The request did not arrive in time.",
        {"RequestTimeoutException": "the request did not arrive in time; send it again, faster"},
        front=True,
    ),
    411: Failure(
        "The model takes less than others, and a body in chunks does not say how large it is.",
        {
            "LengthRequiredException": "cifar takes 10000000 bytes at most, and the request does "
            "not say how many it has; send it with Content-Length rather than in chunks"
        },
        front=True,
    ),
    413: Failure(
        "Too many bytes, pixels or inputs, a file that costs far more than it is worth, or an "
        "answer that is too large.",
        {
            "RequestEntityTooLargeException": "the request holds 65 inputs, at most 64 are taken; "
            "send fewer at a time"
        },
    ),
    415: Failure(
        "A type that this model does not read.",
        {
            "UnsupportedMediaTypeException": "cannot read 'text/csv'; send image/*, "
            "application/json with a base64 'image', or multipart/form-data with a part 'image'"
        },
    ),
    422: Failure(
        "Well-formed, but the model can make nothing of it.",
        {
            "UnprocessableContentException": "at 2 x 2 pixels there is nothing to paint; the "
            "shorter side must have at least 4"
        },
    ),
    500: Failure(
        "The server's fault; its log has the story under the answer's x-request-id.",
        {
            "InternalServerException": "the model failed on this request; the server's log has "
            "the reason"
        },
    ),
    502: Failure(
        "TorchServe closed the connection.",
        {"BadGatewayException": "the model server closed the connection; try again"},
        front=True,
    ),
    503: Failure(
        "The worker is being replaced, or the queue is full: try again, after Retry-After seconds "
        "where that is said.",
        {"ServiceUnavailableException": "the server is about to stop; ask another one"},
    ),
    504: Failure(
        "The model did not answer in time.",
        {"GatewayTimeoutException": "the model did not answer in time; ask for less"},
        front=True,
    ),
    507: Failure(
        "This input alone does not fit in memory, or its worker was killed for want of memory.",
        {"InsufficientMemoryException": "this input alone does not fit in the device's memory"},
    ),
}


def names(*, front: bool) -> list[int]:
    """Return the statuses that a request to a model may get beside success."""
    return [status for status, failure in FAILURES.items() if front or not failure.front]


def component(status: int) -> str:
    """Return the name of a status's response, such as ``NotFound``."""
    return "".join(word.title() for word in HTTPStatus(status).phrase.replace("-", " ").split())


def references(*, front: bool) -> Document:
    """Return the responses of an operation that are no success."""
    found = names(front=front)
    return {str(one): {"$ref": f"#/components/responses/{component(one)}"} for one in sorted(found)}


def components(*, front: bool) -> Document:
    """Return what the references point to."""
    return {component(one): _response(one, FAILURES[one]) for one in names(front=front)}


def _response(status: int, failure: Failure) -> Document:
    examples = {
        kind: {"value": {"code": status, "type": kind, "message": message}}
        for kind, message in failure.examples.items()
    }
    schema = {"$ref": "#/components/schemas/Error"}
    made: Document = {
        "description": failure.text,
        "content": {JSON: {"schema": schema, "examples": examples}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        text = "seconds to wait before the next try"
        made["headers"] = {"Retry-After": {"description": text, "schema": {"type": "integer"}}}
    return made
