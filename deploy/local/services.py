"""One address for all services: ours where ours are meant, the emulator's for the rest."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from deploy.local.clock import Clock
from marquee.errors import MarqueeError

HOST = "127.0.0.1"
Responder = Callable[[Request, str], Response]
Wsgi = Callable[..., Any]
_INVOCATION = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<kind>(?:async-)?invocations)")


# Beside the services: what ran when, as JSON.
SPANS = "/_marquee/spans"


class Services:
    """A WSGI application: SageMaker's runtime, and everything else."""

    def __init__(self, emulator: Wsgi, clock: Clock) -> None:
        self._emulator = emulator
        self._clock = clock
        self._invocations: dict[str, Responder] = {}
        self._table = threading.Lock()

    def answer(self, kind: str, answer: Responder) -> None:
        """Have ``invocations`` or ``async-invocations`` answered."""
        self._invocations[kind] = answer

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        if environ.get("PATH_INFO") == SPANS:
            return self._spans(Request(environ))(environ, start_response)
        found = _INVOCATION.fullmatch(environ.get("PATH_INFO", ""))
        if environ["REQUEST_METHOD"] != "POST" or not found or self._of_s3(environ):
            return self._emulate(environ, start_response)
        request = Request(environ)
        # Read before an error is answered: a client that still sends would see a reset.
        request.get_data()
        return self._invocations[found["kind"]](request, found["name"])(environ, start_response)

    def _emulate(self, environ: dict[str, Any], start_response: Any) -> Any:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._emulator(environ, start_response)
        # The emulator checks a condition and writes in two steps, and shows half an item between
        # them; DynamoDB does neither.
        with self._table:
            return self._emulator(environ, start_response)

    def _spans(self, request: Request) -> Response:
        moment = request.args.get("since", 0.0, float)
        spans = [asdict(span) for span in self._clock.since(moment)]
        return Response(json.dumps(spans), content_type="application/json")

    @staticmethod
    def _of_s3(environ: dict[str, Any]) -> bool:
        """Whether a bucket called ``endpoints`` is meant."""
        return "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")


class _SilentHandler(MotoRequestHandler):
    """Speaks HTTP/1.1, and logs nothing: requests carry presigned addresses."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Keep silent."""


class Listener:
    """A server on loopback, in threads of its own."""

    def __init__(self, port: int, application: Wsgi, option: str) -> None:
        try:
            self._server: BaseWSGIServer = make_server(
                HOST, port, application, threaded=True, request_handler=_SilentHandler
            )
        except (OSError, SystemExit) as error:
            raise MarqueeError(
                f"port {port} cannot be used; stop what uses it, or choose another by {option}"
            ) from error
        self.address = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
