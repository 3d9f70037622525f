"""One request to a model and what came of it, in the words that a page has room for."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from marquee.client.modelclient import error_of
from marquee.client.request import PredictionRequest
from marquee.errors import MarqueeError
from marquee.media import HEAD, answer_type, type_by
from marquee.studio.connection import Connection
from marquee.torchserve.inference import path_of

# That an answer may take; the server's own limit for a model is mostly lower.
SECONDS = 600.0
KEY_REFUSED = "InvalidKeyException"
STAGE = re.compile(r"([\w-]+);dur=([\d.]+)")


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        model, version: who; the default version where none is named.
        file: the input.
        name: of the file, as people know it.
        verb: ``predictions`` or ``explanations``.
        accept: media type of the answer; the model's own choice where there is none.
        parameters: those that are not left to the model, as text.
        content_type: of the file; by its bytes and name where there is none.
    """

    model: str
    version: str | None
    file: Path
    name: str
    verb: str = "predictions"
    accept: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None

    @property
    def path(self) -> str:
        """The path at the inference address, without a slash before it."""
        return path_of(self.model, self.version, self.verb)

    def sent_type(self, body: bytes) -> str:
        """Return the media type that the body is sent with."""
        return self.content_type or type_by(Path(self.name), body[:HEAD])

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the headers.

        Raises:
            MarqueeError: a parameter does not fit into one.
        """
        request = PredictionRequest(
            self.model, self.version, accept=self.accept, parameters=self.parameters
        )
        return request.headers(self.sent_type(body))


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        problem: why there is no answer, in words; empty for an answer.
        status: of HTTP; 0 where nothing came back.
        content_type, body: of the answer.
        version: who answered, such as ``cifar/2.0``; empty where the server does not say.
        request_id: in the server's logs.
        stages: milliseconds of each, in their order.
        seconds: from the first byte sent to the last one received.
        sent: bytes of the request's body.
    """

    problem: str = ""
    status: int = 0
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)
    version: str = ""
    request_id: str = ""
    stages: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    sent: int = 0


def ask(connection: Connection, question: Question) -> Reply:
    """Send a question and return what came of it; nothing that can go wrong is raised."""
    try:
        body = question.file.read_bytes()
        headers = question.headers(body)
        start = time.monotonic()
        answer = _sent(connection, question, body, headers)
    except MarqueeError as error:
        return Reply(str(error))
    except httpx.TimeoutException:
        return Reply(f"no answer within {SECONDS:.0f} s")
    except httpx.ConnectError:
        return Reply(
            f"no server answers at {connection.shown_address}; it can be asked again once it runs"
        )
    except httpx.TransportError as error:
        return Reply(_broken(connection, len(body), error))
    except OSError as error:
        return Reply(f"{question.name} cannot be read: {error.strerror}")
    return _reply(answer, time.monotonic() - start, len(body))


def _sent(
    connection: Connection, question: Question, body: bytes, headers: Mapping[str, str]
) -> httpx.Response:
    timeout = httpx.Timeout(SECONDS, connect=5)
    for _ in range(2):  # a key is void once another process has renewed it: then there is a new one
        answer = connection.inference.send(
            "POST", question.path, timeout=timeout, headers=headers, body=body
        )
        if answer.status_code != 400 or error_of(answer)[0] != KEY_REFUSED:
            break
    return answer


def _broken(connection: Connection, size: int, error: Exception) -> str:
    project = connection.project
    limit = int(project.properties.get("max_request_size", "6553500")) if project else size
    if size > limit:
        return (
            f"the file has {size} bytes, the server takes {limit} (max_request_size); send a "
            "smaller one, or set TS_MAX_REQUEST_SIZE and restart the server"
        )
    return f"the connection broke ({error or type(error).__name__}); ask again"


def _reply(answer: httpx.Response, seconds: float, sent: int) -> Reply:
    headers = answer.headers
    problem = "" if answer.status_code == 200 else _words(answer)
    stages = STAGE.findall(headers.get("server-timing", ""))
    return Reply(
        problem,
        answer.status_code,
        answer_type(headers.get("content-type", ""), answer.content[:HEAD]).partition(";")[0],
        answer.content,
        headers.get("x-marquee-version", ""),
        headers.get("x-request-id", ""),
        {name: float(milliseconds) for name, milliseconds in stages},
        seconds,
        sent,
    )


def _words(answer: httpx.Response) -> str:
    _, words = error_of(answer)
    if answer.status_code in (401, 403) and not words:
        words = "the server refuses the studio's token"
    return words or f"the server answered {answer.status_code} without a word"
