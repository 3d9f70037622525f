"""What stands behind a door in place of TorchServe: it says what reached it."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A server on a Unix socket.

    Attributes:
        go: cleared while requests are not to be answered.
        held: how many wait for that.
    """

    daemon_threads = True
    # A crowd comes at once; a door that is not let in asks again only after a second.
    request_queue_size = 1024

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), Handler)
        self.held = 0
        self.go = threading.Event()
        self.go.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have left: some tests are about them."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_OPTIONS(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.held += 1
        self.server.go.wait(30)
        self.server.held -= 1
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = {"path": self.path, "headers": headers, "bytes": len(body)}
        content = json.dumps(received).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "-"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def behind(socket: Path) -> Iterator[Server]:
    """Answer behind a door while the block runs."""
    server = Server(socket)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.go.set()
        server.shutdown()
        server.server_close()
