"""What Ray reads from the environment, set before it is loaded: this module does not load it."""

from __future__ import annotations

import importlib.util
import os
import secrets

from marquee.errors import MarqueeError
from marquee.files import write_private
from marquee.project import Project

ADVICE = "pip install 'marquee[ray]', or pip install 'ray[serve]==2.60.0'"
TOKEN_FILE = "ray_token"  # noqa: S105 - a file's name
FIXED = {
    # Nothing is told to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Three times five seconds, Serve's own, are not enough for its proxy on a busy machine.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


def check_installed() -> None:
    """Refuse to go on without Ray.

    Raises:
        MarqueeError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise MarqueeError(f"this needs Ray, which is not installed here; {ADVICE}")


def prepare(project: Project, *, local: bool) -> None:
    """Set the variables of this process, and of the cluster's where it is started by this one.

    A cluster of our own has a token of its own, in the project's temporary folder: Ray would write
    one into the user's home. What is set already stays.
    """
    for name, value in (FIXED | _haproxy(project)).items():
        os.environ.setdefault(name, value)
    if local and "RAY_AUTH_MODE" not in os.environ:
        path = project.make_temp() / TOKEN_FILE
        write_private(path, secrets.token_hex(32))
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}


def _haproxy(project: Project) -> dict[str, str]:
    """Return where Ray's HAProxy, if it is wanted, has its files: else all have those in /tmp."""
    folder = project.temp / "ray-haproxy"
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
    }
