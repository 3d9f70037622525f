"""One file to a running server and its answer back, patient with a server that is busy."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import httpx

from marquee.client.outputs import OutputFiles
from marquee.client.request import Body, PredictionRequest, opened
from marquee.errors import MarqueeError
from marquee.media import HEAD, answer_type, is_text
from marquee.project import Project
from marquee.torchserve.inference import Inference, path_of
from marquee.torchserve.management import Management

FIRST_PAUSE = 0.5  # seconds, doubled each time
LONGEST_PAUSE = 10.0
# How often a handler that failed is asked again: another request of its batch may be to blame.
FAULT_RETRIES = 2
# What TorchServe answers to a model or version that it has not; the last to a name with "/".
NO_MODEL = (
    "ModelNotFoundException",
    "ModelVersionNotFoundException",
    "ResourceNotFoundException",
)


@dataclass(frozen=True)
class FileAnswer:
    """What came back for one file.

    Attributes:
        file: what was sent.
        status: HTTP status, None when there was no answer.
        content_type: of the answer; by its bytes, where the server says none.
        body: the answer, empty when it was saved to a file instead.
        saved: that file.
        problem: why there is no answer, in words; None for an answer.
    """

    file: Path
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    saved: Path | None = None
    problem: str | None = None


class _NoAnswer(Exception):
    """This file has no answer; others may."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _Busy(_NoAnswer):
    """Worth trying again, after so many seconds, and no more often than ``most`` says."""

    def __init__(
        self, message: str, status: int | None = None, after: float = 0.0, most: int | None = None
    ) -> None:
        super().__init__(message, status)
        self.after, self.most = after, most


class _KeyRefused(_NoAnswer):
    """The key was refused."""


class ModelClient:
    """Sends files to one model of a project's server; used by several threads at once.

    Args:
        retries: how often a busy server is asked again, with growing pauses.
        timeout: seconds that an answer may take.
    """

    def __init__(
        self,
        project: Project,
        request: PredictionRequest,
        outputs: OutputFiles,
        *,
        retries: int = 6,
        timeout: float = 300.0,
    ) -> None:
        self._project, self._request, self._outputs = project, request, outputs
        self._retries, self._timeout = retries, timeout
        self._limit = int(project.properties.get("max_request_size", "6553500"))
        self._inference = Inference.of(project)

    def close(self) -> None:
        """Close the connections, those in use included."""
        self._inference.close()

    def send(self, file: Path) -> FileAnswer:
        """Send a file and return its answer, or why this file has none.

        Raises:
            MarqueeError: what no other file could overcome: no server, no such model.
        """
        try:
            with opened(file, self._limit) as body:
                return self._patiently(file, body)
        except _NoAnswer as error:
            return FileAnswer(file, error.status, problem=str(error))
        except OSError as error:
            elsewhere = error.filename is not None and Path(error.filename) != file
            where = f"{error.filename}: " if elsewhere else ""
            return FileAnswer(file, problem=f"{where}{error.strerror}")

    def _patiently(self, file: Path, body: Body) -> FileAnswer:
        for number, pause in enumerate(_pauses(self._retries)):
            try:
                return self._with_a_valid_key(file, body)
            except _Busy as busy:
                if busy.most is not None and number >= busy.most:
                    raise
                time.sleep(max(pause, busy.after))
        return self._with_a_valid_key(file, body)

    def _with_a_valid_key(self, file: Path, body: Body) -> FileAnswer:
        """A key is void as soon as another process has renewed it: the file has the new one."""
        try:
            return self._once(file, body)
        except _KeyRefused:
            return self._once(file, body)

    def _once(self, file: Path, body: Body) -> FileAnswer:
        headers = self._request.headers(body.content_type)
        body.stream.seek(0)
        try:
            return self._exchange(file, body, headers)
        except httpx.ConnectError as error:
            raise MarqueeError(
                f"no server answers at {self._inference.address} ({error}); start it: make serve"
            ) from error
        except httpx.TimeoutException as error:
            raise _NoAnswer(
                f"no answer within {self._timeout:g} s (--timeout); 'marquee models' shows "
                "whether its workers are there"
            ) from error
        except httpx.TransportError as error:
            raise _Busy(f"the connection broke ({error}){self._size_hint(body)}") from error

    def _exchange(self, file: Path, body: Body, headers: Mapping[str, str]) -> FileAnswer:
        request, timeout = self._request, httpx.Timeout(self._timeout, connect=10)
        path = path_of(request.model, request.version, request.verb)
        with self._inference.stream(path, body.stream, headers, timeout) as answer:
            if answer.status_code == 200:
                return self._received(file, body.name, answer)
            answer.read()
        raise self._refusal(body, answer)

    def _received(self, file: Path, name: Path, answer: httpx.Response) -> FileAnswer:
        stated, chunks = answer.headers.get("content-type", ""), answer.iter_bytes()
        head = _beginning(chunks)
        content_type, body = answer_type(stated, head), chain([head], chunks)
        if not self._outputs.wants(content_type):
            text = b"".join(body)
            if content_type == stated or is_text(text):
                return FileAnswer(file, 200, content_type, text)
            content_type, body = stated, chain([text])  # it only began as text
        saved = self._outputs.save(name, content_type, body)
        return FileAnswer(file, 200, content_type, saved=saved)

    def _refusal(self, body: Body, answer: httpx.Response) -> Exception:
        status, (kind, words) = answer.status_code, error_of(answer)
        if status == 404 and kind in NO_MODEL:
            return MarqueeError(self._unknown())
        message = f"{status} {words or 'without a word'}"
        if status == 413 and not words:
            message = f"413 the request is too large{self._size_hint(body)}"
        if kind == "InvalidKeyException":
            return _KeyRefused(message, status)
        logs = f"'marquee logs {self._request.model}' tells why"
        if status == 503 and kind == "InternalServerException":
            failed = "the handler raised an error, or returned what TorchServe cannot send"
            return _Busy(f"{message}: {failed}; {logs}", status, most=FAULT_RETRIES)
        if status == 503:
            return _Busy(message, status, _retry_after(answer.headers.get("retry-after", "")))
        request_id = answer.headers.get("x-request-id", "")
        message += f"; {logs}" if status == 500 else ""
        message += f" (request {request_id})" if status >= 500 and request_id else ""
        return _NoAnswer(message, status)

    def _unknown(self) -> str:
        model, version = self._request.model, self._request.version
        with Management.of(self._project) as api:
            if version is not None and (found := api.versions(model)):
                known = ", ".join(sorted(one.version for one in found))
                return f"{model} has no version {version} on this server; it has {known}"
            known = ", ".join(api.models()) or "none"
        return f"there is no model '{model}' on this server; it has {known}"

    def _size_hint(self, body: Body) -> str:
        """Say that the body is too large, if it is: the server then just hangs up."""
        if body.size <= self._limit:
            return ""
        return (
            f": it has {body.size} bytes, the server takes {self._limit} (max_request_size); "
            "send less, or set TS_MAX_REQUEST_SIZE and restart the server"
        )


def _beginning(chunks: Iterator[bytes]) -> bytes:
    """Take what tells the type: a streamed answer comes in pieces of any size."""
    head = b""
    while len(head) < HEAD and (chunk := next(chunks, b"")):
        head += chunk
    return head


def _pauses(count: int) -> Iterator[float]:
    """Yield growing pauses with jitter, so that those turned away do not come back together."""
    for number in range(count):
        yield min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) * (0.5 + secrets.randbelow(1000) / 1000)


def error_of(answer: httpx.Response) -> tuple[str, str]:
    """Return the type and the message of an error's JSON; what is no such JSON as it is."""
    try:
        found = answer.json()
        return str(found["type"]), str(found["message"])
    except (ValueError, KeyError, TypeError):
        return "", answer.text.strip()[:500]


def _retry_after(header: str) -> float:
    """Read a Retry-After in seconds; a date, which no server of ours sends, counts as none."""
    return min(float(header), LONGEST_PAUSE) if header.isdecimal() else 0.0
