"""What can go wrong with a request, and the HTTP status each case has.

    RequestError                      base: carries status, kind and a message for the client
    |- BadRequest            400      malformed body or parameter
    |- NotAcceptable         406      no representation in a type the client accepts
    |- TooLarge              413      too many bytes, pixels or items
    |- UnsupportedMediaType  415      a type that this model does not read
    |- Unprocessable         422      readable, but this model can make nothing of it
    |- InternalError         500      our fault; the details are in the log
    |- Unavailable           503      the worker is restarting, try again
    `- InsufficientMemory    507      does not fit in memory even alone

The JSON shape is TorchServe's own: ``{"code", "type", "message"}``.
"""

from __future__ import annotations

import json
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import PurePath

# TorchServe cuts error bodies of more than about 128 kB off with a TCP reset.
MAX_MESSAGE_CHARS = 4000
MAX_REASON_CHARS = 1000


class RequestError(Exception):
    """A request that gets an error answer; the message goes to the client as it is."""

    status = 500
    phrase = "Internal Server Error"
    kind = "InternalServerException"
    # For the operator, never for clients: what the model raised, where the message hides it.
    reason = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message[:MAX_MESSAGE_CHARS]

    def body(self) -> bytes:
        """Return the JSON answer, UTF-8, always far under 64 kB."""
        shape = {"code": self.status, "type": self.kind, "message": self.message}
        return json.dumps(shape).encode()


class BadRequest(RequestError):
    """The body or a parameter is malformed."""

    status, phrase, kind = 400, "Bad Request", "BadRequestException"


class NotAcceptable(RequestError):
    """The client accepts none of the types the model can answer in."""

    status, phrase, kind = 406, "Not Acceptable", "NotAcceptableException"


class TooLarge(RequestError):
    """Too many bytes, pixels or items."""

    status, phrase, kind = 413, "Content Too Large", "RequestEntityTooLargeException"


class UnsupportedMediaType(RequestError):
    """The model does not read this content type."""

    status, phrase, kind = 415, "Unsupported Media Type", "UnsupportedMediaTypeException"


class Unprocessable(RequestError):
    """Well-formed, but the model can make nothing of it."""

    status, phrase, kind = 422, "Unprocessable Content", "UnprocessableContentException"


class InternalError(RequestError):
    """Our fault; ``cause`` is what was raised, of which the client is told nothing."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        # As text: an exception would keep the tensors of its frames alive.
        self.reason = "" if cause is None else raised(cause)


def raised(error: BaseException) -> str:
    """Return in a line what was raised and where: the last line that is no library's."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON_CHARS]}".rstrip(": ")
    libraries = tuple(sysconfig.get_paths().values())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(libraries)]
    if not own:
        return said
    return f"{said} ({PurePath(own[-1].filename).name}, line {own[-1].lineno})"


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it, also where it was raised ``from None``."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        yield link
        seen.add(id(link))
        link = link.__cause__ or link.__context__


class Unavailable(RequestError):
    """The worker cannot answer right now; a later try will find a fresh one."""

    status, phrase, kind = 503, "Service Unavailable", "ServiceUnavailableException"


class InsufficientMemory(RequestError):
    """One item alone does not fit in the device's memory."""

    status, phrase, kind = 507, "Insufficient Storage", "InsufficientMemoryException"
