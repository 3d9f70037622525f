"""The studio's web server: loopback unless it is shared, and then with a password."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

from marquee import interrupts
from marquee.errors import MarqueeError
from marquee.scratch import scratch
from marquee.studio.connection import Connection

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
USER = "marquee"
STOP_SECONDS = 5
# The browser itself is told to ask nobody else. Gradio's pages have scripts and styles inside, and
# compile some when they are opened.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Of the nearly two hundred files of Gradio's page, whose names change with what is in them.
KEPT = {"cache-control": "max-age=604800, immutable"}
# Read by Gradio and what it uses, when they are imported.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Door:
    """Where the pages are, and who may see them.

    Attributes:
        port: 0 for any that is free.
        password: None where they are for this machine alone.
    """

    port: int
    password: str | None = None

    @property
    def host(self) -> str:
        """The address to listen at."""
        return LOOPBACK if self.password is None else "0.0.0.0"  # noqa: S104 - asked for


def made_up_password() -> str:
    """Return one that nobody guesses, and that can be typed on a phone."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike
    groups = ("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def run(connection: Connection, door: Door, opened: Callable[[str], None]) -> None:
    """Serve the pages until a signal comes.

    Args:
        opened: called with the address once they can be seen.

    Raises:
        MarqueeError: they cannot be served there.
    """
    with interrupts.raised(), scratch() as folder, _listening(door) as listener:
        os.environ |= QUIET | {"GRADIO_TEMP_DIR": str(folder / "files")}
        try:
            with _serving(_app(connection, door), listener) as alive:
                opened(_address(door, listener))
                while alive():
                    interrupts.pause(0.5)
        except interrupts.Interrupted:
            return
        finally:
            connection.close()


@contextmanager
def _listening(door: Door) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((door.host, door.port))
        except OSError as error:
            raise MarqueeError(
                f"the studio cannot listen at {door.host}:{door.port}: {error.strerror}; choose "
                "another port: --port 0 takes any that is free"
            ) from error
        yield listener


def _address(door: Door, listener: socket.socket) -> str:
    host = LOOPBACK if door.password is None else _own_address()
    return f"http://{host}:{listener.getsockname()[1]}"


def _own_address() -> str:
    """Return the address by which others on the network know this machine, as far as it knows."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: the way there tells
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


@contextmanager
def _serving(app: Any, listener: socket.socket) -> Iterator[Callable[[], bool]]:
    """Serve in a thread; lend the question whether it still does."""
    import uvicorn  # noqa: PLC0415 - with Gradio

    config = uvicorn.Config(
        app,
        log_level="error",
        timeout_graceful_shutdown=STOP_SECONDS,
        proxy_headers=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        interrupts.until(lambda: server.started or not thread.is_alive(), 60)
        if not server.started:
            raise MarqueeError("the studio's web server did not start within a minute")
        yield thread.is_alive
    finally:
        _stop(server, thread)


def _stop(server: uvicorn.Server, thread: Thread) -> None:
    server.should_exit = True
    thread.join(STOP_SECONDS)
    server.force_exit = True  # pages that are open hold their connections
    thread.join(STOP_SECONDS)


def _app(connection: Connection, door: Door) -> Any:
    # It tells of each file that it cannot read; here that is no error.
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    import gradio as gr  # noqa: PLC0415 - heeds what was set in the environment
    from fastapi import FastAPI  # noqa: PLC0415
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415

    from marquee.studio import app  # noqa: PLC0415

    web = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    web.add_middleware(Headers)
    if door.password is None:  # a name of somebody else's that leads here is no way in
        web.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])
    return gr.mount_gradio_app(
        web,
        app.build(connection),
        path="/",
        auth=None if door.password is None else (USER, door.password),
        auth_message=f"The user's name is {USER}.",
        theme=app.theme(),
        css=app.STYLE,
        head=app.SCRIPT,
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        favicon_path=str(app.HERE / "icon.png"),
        max_file_size=app.largest(connection),
    )


class Headers:
    """Adds our headers to every answer (ASGI)."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                named = HEADERS | (KEPT if scope["path"].startswith("/assets/") else {})
                added = [(name.encode(), value.encode()) for name, value in named.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, with_headers)
