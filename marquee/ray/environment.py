"""What Ray reads from the environment, set before it is loaded: this module does not load it."""

from __future__ import annotations

import importlib.util
import os
import secrets

from marquee.errors import MarqueeError
from marquee.project import Project

ADVICE = "pip install 'marquee[ray]', or pip install 'ray[serve]==2.60.0'"
# For the address of a cluster: one of our own, on this machine.
LOCAL = "local"
FIXED = {
    # Nothing is told to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Its workers would give way to all else on the machine (15): here they are the server.
    "RAY_worker_niceness": "0",
    # Three times five seconds, Serve's own, are not enough for its proxy on a busy machine.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


def prepare(*, own: bool) -> None:
    """Set the variables of this process, and of a cluster of its ``own``; what is set stays.

    Such a cluster has a token of its own: Ray would write one into the user's home.

    Raises:
        MarqueeError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise MarqueeError(f"this needs Ray, which is not installed here; {ADVICE}")
    for name, value in FIXED.items():
        os.environ.setdefault(name, value)
    if own and "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def prepare_haproxy(project: Project) -> None:
    """Say where Ray's HAProxy, if it is wanted, has its files: else all have those in /tmp."""
    folder = project.temp / "ray-haproxy"
    for name, value in {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
    }.items():
        os.environ.setdefault(name, value)
