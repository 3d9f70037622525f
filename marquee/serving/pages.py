"""What the front door shows of itself: ``/openapi.json``, and at ``/docs`` a page that reads it.

Answered on a Unix socket behind HAProxy, whose own answers must fit into a buffer of 64 kB: the
document of five models does not, nor does Swagger UI.
"""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from marquee.errors import MarqueeError
from marquee.media import JSON
from marquee.openapi.document import document
from marquee.openapi.served import Descriptions, Served, of_server
from marquee.torchserve.management import Management

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30
OWN = {"/docs": "index.html", "/docs/": "index.html", "/docs/page.js": "page.js"}
SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
INSTALL = "pip install swagger-ui-bundle-v2==5.31.0"
# Nothing of a page may come from elsewhere, nor go there. Swagger UI styles elements one by one,
# and has its pictures in its stylesheet.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)


class Pages:
    """The answers, and the server that gives them.

    Args:
        management: a connection to TorchServe, behind the door.
        socket: where HAProxy finds it.
        secured: whether the door asks for a key.
        max_request_size: bytes of a body.
    """

    def __init__(
        self,
        management: Callable[[], Management],
        socket: Path,
        *,
        secured: bool,
        max_request_size: int,
    ) -> None:
        self._management, self._socket = management, socket
        self._secured, self._max_request_size = secured, max_request_size
        self._known: Descriptions = {}
        self._asking = threading.Lock()
        self._server: _Server | None = None

    def start(self) -> None:
        """Answer from now on, until the end."""
        handler = type("_Handler", (_Handler,), {"pages": self})
        self._server = _Server(str(self._socket), handler)
        threading.Thread(target=self._server.serve_forever, name="pages", daemon=True).start()

    def end(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def openapi(self) -> bytes:
        """Return the document; models that came since the last time are asked what they are.

        Raises:
            MarqueeError: TorchServe does not answer.
        """
        with self._asking, self._management() as api:
            offers = tuple(of_server(api, known=self._known))
        served = Served(
            offers,
            front=True,
            secured=self._secured,
            max_request_size=self._max_request_size,
        )
        return json.dumps(document(served)).encode()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    pages: ClassVar[Pages]
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        """Answer with the document, or a file of the page."""
        path = self.path.partition("?")[0]
        try:
            if path == "/openapi.json":
                self._send(HTTPStatus.OK, self.pages.openapi(), JSON)
            elif (body := page(path)) is not None:
                kind = TYPES[Path(OWN.get(path, path)).suffix]
                self._send(HTTPStatus.OK, body, kind)
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", "no such page")
        except MarqueeError as error:
            log.warning("%s: %s", path, error)
            busy = HTTPStatus.SERVICE_UNAVAILABLE
            self._refuse(busy, "ServiceUnavailableException", str(error))

    do_HEAD = do_GET  # noqa: N815 - the base class looks for this name

    def do_POST(self) -> None:
        """Refuse: there is nothing to send here."""
        self.close_connection = True  # a body that was not read is no request
        words = f"{self.command} is not answered here; send GET"
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowedException", words)

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815

    def _refuse(self, status: HTTPStatus, kind: str, message: str) -> None:
        said: dict[str, Any] = {"code": int(status), "type": kind, "message": message}
        self._send(status, json.dumps(said).encode(), JSON)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self) -> str:
        return "-"  # a Unix socket's peer has no address

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the front door logs requests."""


def page(path: str) -> bytes | None:
    """Return a file of the page at ``/docs``, or None where there is none.

    Raises:
        MarqueeError: Swagger UI is not installed.
    """
    if path in OWN:
        return (resources.files("marquee.serving") / "docs" / OWN[path]).read_bytes()
    name = path.removeprefix("/docs/")
    return _swagger(name) if path != name and name in SWAGGER else None


@cache
def _swagger(name: str) -> bytes:
    """Return a file of Swagger UI (https://github.com/swagger-api/swagger-ui, Apache-2.0)."""
    try:
        vendor = resources.files("swagger_ui_bundle") / "vendor"
    except ImportError as error:
        raise MarqueeError(
            f"the page needs Swagger UI, which is not installed ({error}): {INSTALL}; "
            "/openapi.json is there without it"
        ) from error
    (folder,) = (one for one in vendor.iterdir() if one.name.startswith("swagger-ui-"))
    return (folder / name).read_bytes()
