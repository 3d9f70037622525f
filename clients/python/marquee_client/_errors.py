"""Why there is no answer.

ServerError
|- Unreachable      nobody listens, or the connection broke
|- TimedOut         no answer in time; the server may still be at work on it
`- Refused          the server says no, and why
"""

from __future__ import annotations


class ServerError(Exception):
    """There is no answer."""


class Unreachable(ServerError):
    """Nobody listens there, or the connection broke."""


class TimedOut(ServerError):
    """There was no answer in time."""


class Refused(ServerError):
    """The server says no.

    Attributes:
        code: HTTP's status.
        type: the kind, such as ``BadRequestException``; empty where the server says none.
        message: what was wrong, what was expected, what to do.
        request_id: of this request in the server's logs; empty where it has none.
    """

    def __init__(self, code: int, kind: str, message: str, request_id: str) -> None:
        told = f" (request {request_id})" if request_id and code >= 500 else ""
        super().__init__(f"{code} {kind}: {message}{told}" if kind else f"{code}: {message}{told}")
        self.code, self.type, self.message, self.request_id = code, kind, message, request_id

    @property
    def busy(self) -> bool:
        """Whether another try may find the server ready: a worker is replaced, or a queue full."""
        return self.code == 503 and self.type != "InternalServerException"
