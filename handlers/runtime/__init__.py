"""What a model's handler needs: the request's way, and the types on it."""

from handlers.runtime.errors import (
    BadRequest,
    InsufficientMemory,
    InternalError,
    NotAcceptable,
    RequestError,
    TooLarge,
    Unavailable,
    Unprocessable,
    UnsupportedMediaType,
)
from handlers.runtime.handler import VisionHandler
from handlers.runtime.media import JPEG, JSON, NPY, PNG
from handlers.runtime.parameters import Parameter
from handlers.runtime.payload import Payload
from handlers.runtime.request import Request
from handlers.runtime.result import Result

__all__ = [
    "JPEG",
    "JSON",
    "NPY",
    "PNG",
    "BadRequest",
    "InsufficientMemory",
    "InternalError",
    "NotAcceptable",
    "Parameter",
    "Payload",
    "Request",
    "RequestError",
    "Result",
    "TooLarge",
    "Unavailable",
    "Unprocessable",
    "UnsupportedMediaType",
    "VisionHandler",
]
