"""The context that scripts get: TorchServe's own, narrowed to the request at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handlers.runtime.exchange import Context, Exchange
from handlers.script.invocation import Invocation

# RFC 9110, section 5.6.2: a token.
HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


class ScriptContext:
    """Shows one request at a time, as index 0, and keeps what the script says of its answer.

    Scripts were written for batches of one. One object for a worker's whole life, since a
    script may keep the one that its ``model_fn`` was given. What is not here is TorchServe's.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        self._context = context
        self._invocation = Invocation(Exchange({}))
        # The model folder, which is what the model directory is in SageMaker.
        self.system_properties = {**context.system_properties, "model_dir": str(folder)}

    def __getattr__(self, name: str) -> Any:
        if name == "_context":  # not there yet while a copy is made
            raise AttributeError(name)
        return getattr(self._context, name)

    @contextmanager
    def showing(self, invocation: Invocation) -> Iterator[None]:
        """Show the request of ``invocation`` within the ``with`` block."""
        before, self._invocation = self._invocation, invocation
        try:
            yield
        finally:
            self._invocation = before

    @property
    def request_processor(self) -> list[ScriptContext]:
        """The request's own processor, whose part this object plays as well."""
        return [self]

    @property
    def request_ids(self) -> dict[int, str]:
        """The id of the request, under index 0."""
        return {0: self._invocation.exchange.request_id}

    def get_request_id(self, idx: int = 0) -> str:
        """Return the request's id."""
        return self._invocation.exchange.request_id

    def get_all_request_header(self, idx: int = 0) -> Mapping[str, Any]:
        """Return the request's headers, spelt as sent."""
        return self._invocation.exchange.headers

    def get_request_header(self, idx: int, key: str) -> Any:
        """Return one header, spelt as sent, or None."""
        return self._invocation.exchange.headers.get(key)

    def get_request_properties(self) -> Mapping[str, Any]:
        """Return the request's headers; the processor's name for it."""
        return self._invocation.exchange.headers

    def get_request_property(self, key: str) -> Any:
        """Return one header, spelt as sent, or None; the processor's name for it."""
        return self._invocation.exchange.headers.get(key)

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set the answer's status."""
        self._invocation.status, self._invocation.phrase = int(code), phrase or ""

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Set the answer's status: a script sees one request only."""
        self.set_response_status(code, phrase)

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        """Set the answer's status; the processor's name for it."""
        self.set_response_status(code, reason_phrase or "")

    def get_response_status(self, idx: int = 0) -> tuple[int, str]:
        """Return the answer's status so far."""
        return self._invocation.status, self._invocation.phrase

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a header of the answer; the content type is the script's return value instead.

        Raises:
            ValueError: the key is no header's name; TorchServe would drop the connection.
        """
        if not HEADER_NAME.fullmatch(key):
            raise ValueError(f"{key!r} cannot be the name of a header")
        self._invocation.exchange.answer_headers[key] = value

    def add_response_property(self, key: str, value: str) -> None:
        """Set a header of the answer; the processor's name for it."""
        self.set_response_header(0, key, value)

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set a header that the return value's type replaces, as in the toolkit."""
        self._invocation.exchange.answer_headers["content-type"] = value

    def get_response_headers(self, idx: int = 0) -> dict[str, str]:
        """Return the answer's headers so far."""
        return self._invocation.exchange.answer_headers

    def get_response_content_type(self, idx: int = 0) -> str | None:
        """Return the answer's content type so far."""
        return self._invocation.exchange.answer_headers.get("content-type")
