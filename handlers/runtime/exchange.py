"""What goes in and out of one call of a worker: TorchServe's context, requests, answers."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from handlers.runtime import kserve
from handlers.runtime.errors import RequestError
from handlers.runtime.media import FORM, JSON, MULTIPART, media_type
from handlers.runtime.request import Headers, Request, Row
from handlers.runtime.stopwatch import Stopwatch


class Context(Protocol):
    """The part of TorchServe's ``ts.context.Context`` that is used here."""

    model_name: str
    manifest: Mapping[str, Any] | None
    model_yaml_config: Mapping[str, Any] | None
    metrics: Any
    system_properties: Mapping[str, Any]

    def get_all_request_header(self, idx: int) -> Headers: ...
    def get_request_id(self, idx: int = 0) -> str | None: ...
    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None: ...
    def set_response_header(self, idx: int, key: str, value: str) -> None: ...


@dataclass(frozen=True)
class Answer:
    """Bytes, media type and status of one response."""

    body: bytes
    content_type: str
    status: int = 200
    phrase: str = "OK"


@dataclass
class Exchange:
    """One request of a batch on its way to its own answer."""

    row: Row
    headers: Headers = field(default_factory=dict)
    request_id: str = ""
    started: float = field(default_factory=time.monotonic)
    watch: Stopwatch = field(default_factory=Stopwatch)
    seconds: float = math.inf  # that an explanation may take
    request: Request | None = None
    items: Tensor | None = None
    answer: Answer | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)  # the model's own
    reason: str = ""  # what the model raised, for its operator

    @property
    def asks_description(self) -> bool:
        """Whether TorchServe itself asks, for ``?customized=true``: then there is no body at all.

        A client may send the header ``describe`` as well, but not without a body, unless it says
        that it sends a form and no field.
        """
        named = {key.lower(): value for key, value in self.headers.items()}
        a_form = media_type(str(named.get("content-type", ""))) in (FORM, MULTIPART)
        return self.headers.get("describe") == "True" and not self.row and not a_form

    @property
    def protocol(self) -> str:
        """Which of KServe's protocols it came by; empty for none."""
        sent = (value for key, value in self.headers.items() if key.lower() == kserve.HEADER)
        return str(next(sent, ""))

    @property
    def asks_explanation(self) -> bool:
        """Whether it came to ``/explanations``."""
        return self.headers.get("explain") == "True" and not self.asks_description

    def fail(self, error: RequestError) -> None:
        """Answer with ``error``, and let go of what was read."""
        self.items = self.request = None
        self.answer = Answer(error.body(), JSON, error.status, error.phrase)
        self.reason = error.reason

    @property
    def outcome(self) -> str:
        """Say for the operator how it was answered: the reason, where the client gets none."""
        if self.answer is None:
            return "nothing"
        if self.reason:
            return f"{self.answer.status}: {self.reason}"
        return self.answer.body.decode(errors="replace")


def header_text(value: object) -> str:
    """Return ``value`` as one line of ASCII: TorchServe's protocol breaks on anything else."""
    text = " ".join(str(value).split())
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def who(context: Context) -> kserve.Who:
    """Return the model and its version."""
    model = (context.manifest or {}).get("model") or {}
    return kserve.Who(context.model_name, str(model.get("modelVersion") or "unknown"))


def identity(context: Context) -> dict[str, str]:
    """Return the headers that tell who answered: ``cifar/2.0``, and the worker's process id."""
    one = who(context)
    version = f"{one.name}/{one.version}"
    return {"x-marquee-version": version, "x-marquee-worker": str(os.getpid())}
