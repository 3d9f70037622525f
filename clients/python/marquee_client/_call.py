"""One request and its tries, without the waiting: that is the part in which the clients differ."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from marquee_client import _answers
from marquee_client._errors import Refused, ServerError, TimedOut, Unreachable
from marquee_client._inputs import Body, Input, body_of, media, parameter_headers

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds; the first is doubled each time
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Patience:
    """How long an answer is waited for, and how often it is asked for again.

    Attributes:
        timeout: seconds that an answer may take.
        retries: how often a server is asked again that is busy or does not listen.
        resend_timed_out: whether it is asked again after ``timeout`` seconds, too.
    """

    timeout: float = 300.0
    retries: int = 4
    resend_timed_out: bool = False

    def httpx_timeout(self) -> httpx.Timeout:
        """Return it as httpx has it."""
        return httpx.Timeout(self.timeout, connect=min(CONNECT_SECONDS, self.timeout))


@dataclass
class Call:
    """One question to a model.

    Attributes:
        pauses: that are left, in seconds: one for each further try.
    """

    path: str
    body: Body
    headers: dict[str, str]
    patience: Patience
    pauses: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        self.pauses = _pauses(self.patience.retries)

    def after(self, outcome: httpx.Response | httpx.HTTPError) -> _answers.Answer | float:
        """Return the answer, or after how many seconds to ask again.

        Raises:
            ServerError: there is none, and no further try.
        """
        try:
            if isinstance(outcome, httpx.Response):
                return _answers.read(outcome)
            raise self._error(outcome) from outcome
        except ServerError as error:
            pause = next(self.pauses, None) if self._passes(error) else None
            if pause is None:
                raise
            stated = outcome.headers if isinstance(outcome, httpx.Response) else {}
            return max(pause, _seconds(stated.get("retry-after", "")))

    def _passes(self, error: ServerError) -> bool:
        """Whether it may be over soon."""
        if isinstance(error, Refused):
            return error.busy
        return self.patience.resend_timed_out or not isinstance(error, TimedOut)

    def _error(self, error: httpx.HTTPError) -> ServerError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(
            error, httpx.ConnectTimeout
        ):
            return TimedOut(f"no answer from {self.path} within {self.patience.timeout:g} s")
        return Unreachable(f"no answer from {self.path}: {error or type(error).__name__}")


def call(
    verb: str,
    model: str,
    image: Input,
    *,
    version: str | None,
    accept: str | None,
    content_type: str | None,
    parameters: Mapping[str, Any],
    patience: Patience,
) -> Call:
    """Return a question; its body is open until it is closed.

    Raises:
        ValueError, TypeError: something cannot be sent.
        OSError: a file cannot be read.
    """
    path = "/".join(["", verb, *(quote(part, safe="") for part in (model, version) if part)])
    headers = parameter_headers(parameters)
    headers |= {"Accept": "*/*" if accept is None else media(accept)}
    body = body_of(image)
    headers["Content-Type"] = body.content_type if content_type is None else media(content_type)
    headers["Content-Length"] = str(body.size)
    return Call(path, body, headers, patience)


def client_options(url: str, key: str | None, patience: Patience) -> dict[str, Any]:
    """Return what httpx's clients are made with."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return {"base_url": url, "headers": headers, "timeout": patience.httpx_timeout()}


def _pauses(count: int) -> Iterator[float]:
    """Yield growing pauses with jitter, so that those turned away do not come back together."""
    for number in range(count):
        share = 0.5 + secrets.randbelow(1000) / 1000
        yield min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) * share


def _seconds(stated: str) -> float:
    return min(float(stated), LONGEST_PAUSE) if stated.isdecimal() else 0.0
