"""The one client that asks a model of a running server."""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx

from marquee.archives.golden import ArchiveRequest, ExampleRequest
from marquee.errors import MarqueeError
from marquee.interrupts import waited
from marquee.torchserve.connection import Connection
from marquee.torchserve.management import Version

# A model is waited for as long as it says; this bounds the connection itself.
CONNECT_SECONDS = 5
# In the address of every request of ours, so that the access log tells it from a client's.
# TorchServe drops the query of /predictions, and the front door lets this one through to it.
OWN_MARK = "asked_by=marquee"


class Inference(Connection):
    """A connection to the inference address of a running server."""

    kind = "inference"

    def predict(
        self,
        model: str,
        version: str | None,
        body: bytes,
        headers: Mapping[str, str],
        *,
        seconds: float,
        query: str = "",
    ) -> httpx.Response:
        """Send a request to a version (None: the default); return its answer, whatever its status.

        Raises:
            httpx.TimeoutException: there was none within ``seconds``.
            httpx.TransportError: nobody is there.
            MarqueeError: no token can be had.
        """
        path = path_of(model, version) + (f"?{query}" if query else "")
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        return self.send("POST", path, timeout=timeout, headers=headers, body=body)

    def answer(
        self, model: str, version: str | None, request: ArchiveRequest, seconds: float
    ) -> httpx.Response:
        """Send a request of an archive's own; return its answer, whatever it is.

        Raises:
            MarqueeError: there is none.
        """
        start = time.perf_counter()
        try:
            return waited(lambda: self._ask(model, version, request, seconds))
        except httpx.TimeoutException as error:
            took = time.perf_counter() - start
            raise MarqueeError(f"{request.name}: no answer after {took:.0f} s") from error
        except httpx.TransportError as error:
            raise MarqueeError(f"{request.name}: no answer ({error})") from error

    def problem(self, version: Version, example: ExampleRequest) -> str | None:
        """Ask a version its own example; return what was wrong with the answer, or None.

        422 is an answer too: the model works, and says no to this very input.
        """
        seconds = version.response_timeout + CONNECT_SECONDS
        try:
            answer = self._ask(version.name, version.version, example, seconds)
        except httpx.HTTPError as error:
            return f"did not answer its example ({type(error).__name__})"
        if answer.status_code in (200, 422):
            return None
        return f"answered its example with {answer.status_code}: {answer.text.strip()[:300]}"

    def _ask(
        self, model: str, version: str | None, request: ArchiveRequest, seconds: float
    ) -> httpx.Response:
        body, headers = request.body, request.headers
        return self.predict(model, version, body, headers, seconds=seconds, query=OWN_MARK)


def path_of(model: str, version: str | None, verb: str = "predictions") -> str:
    """Return TorchServe's path for ``predictions`` or ``explanations`` of a model."""
    return "/".join(filter(None, ("", verb, model, version)))
