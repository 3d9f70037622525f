"""The HTTP side of multi-model mode: ``/models`` without ``/invoke``, and its ``/ping``.

Small requests from the platform, answered on a Unix socket behind the front door; predictions
go from there to TorchServe and do not pass here.
"""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from marquee.container.multimodel import MultiModel, Refused, absent
from marquee.errors import MarqueeError

log = logging.getLogger(__name__)

MAX_BODY = 64 << 10
PAGE = 100
TIMEOUT_SECONDS = 30
# As AWS's containers name them.
KINDS = {
    HTTPStatus.BAD_REQUEST: "BadRequestException",
    HTTPStatus.NOT_FOUND: "ModelNotFoundException",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowedException",
    HTTPStatus.CONFLICT: "ConflictStatusException",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RequestEntityTooLargeException",
}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def start(models: MultiModel, socket: Path) -> None:
    """Answer at ``socket`` from now on, for as long as the process lives."""
    handler = type("_Handler", (_Handler,), {"models": models})
    server = _Server(str(socket), handler)
    threading.Thread(target=server.serve_forever, name="control", daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    """One request; TorchServe's and SageMaker's shapes of answers."""

    models: ClassVar[MultiModel]
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        """Answer a request of one of the three methods."""
        act = {"GET": self._get, "POST": self._post, "DELETE": self._delete}[self.command]
        try:
            self._send(HTTPStatus.OK, act())
        except (Refused, MarqueeError) as error:
            log.warning("%s %s: %s", self.command, self.path[:300], error)
            status = getattr(error, "status", HTTPStatus.INTERNAL_SERVER_ERROR)
            kind = KINDS.get(status, "InternalServerException")
            self._send(status, {"code": int(status), "type": kind, "message": str(error)})

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base class looks for these names

    def _get(self) -> Any:
        name, models = self._name(), self.models.models()
        found = {name: {"modelName": name, "modelUrl": url} for name, url in models.items()}
        if name is not None:
            if name not in found:
                raise absent(name)
            return [found[name]]
        query = parse_qs(urlsplit(self.path).query)
        first = _number(query, "next_page_token", 0)
        end = first + _number(query, "limit", PAGE)
        page: dict[str, Any] = {"models": [*found.values()][first:end]}
        return page | ({"nextPageToken": str(end)} if end < len(found) else {})

    def _post(self) -> Any:
        if self._name() is not None:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "POST goes to /models")
        name, url = self._asked()
        self.models.load(name, url)
        log.info("loaded %s from %s", name, url)
        return {"status": "Workers scaled"}

    def _delete(self) -> Any:
        name = self._name()
        if name is None:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "DELETE goes to /models/{name}")
        self.models.unload(name)
        log.info("unloaded %s", name)
        return {"status": f'Model "{name}" unregistered'}

    def _asked(self) -> tuple[str, str]:
        """Return name and folder from the body."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self._discard(int(length) if length.isdecimal() else 0)
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has {length[:20]} bytes, expected {MAX_BODY} at the most",
            )
        try:
            body = json.loads(self.rfile.read(int(length)))
            name, url = body["model_name"], body["url"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                HTTPStatus.BAD_REQUEST,
                'expected JSON such as {"model_name": "a", "url": "/opt/ml/models/a/model"}',
            ) from error
        if not isinstance(name, str) or not isinstance(url, str):
            raise Refused(HTTPStatus.BAD_REQUEST, "model_name and url must be text")
        return name, url

    def _discard(self, left: int) -> None:
        """Read what nobody wants: closing before would reset the connection under the answer."""
        while left > 0 and (block := self.rfile.read(min(left, 1 << 20))):
            left -= len(block)

    def _name(self) -> str | None:
        """Return the model that the path names, or None for /models itself."""
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[0] != "models" or len(parts) > 2:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path[:300]}")
        return unquote(parts[1]) if len(parts) == 2 else None

    def _send(self, status: HTTPStatus, content: Any) -> None:
        body = (json.dumps(content, indent=2) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status >= HTTPStatus.BAD_REQUEST:
            # A body that was not read must not be taken for the next request.
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "-"  # a Unix socket's peer has no address

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the front door logs requests."""


def _number(query: dict[str, list[str]], name: str, otherwise: int) -> int:
    text = query.get(name, [str(otherwise)])[0]
    if not text.isdecimal():
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is {text[:100]!r}, expected a number")
    return int(text)
