"""Find HAProxy, or say how to get it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from marquee.errors import MarqueeError

OLDEST = (2, 6)
INSTALL = (
    "install HAProxy 2.6 or newer: 'sudo apt-get install haproxy' (Debian, Ubuntu), "
    "'sudo dnf install haproxy' (Fedora, Red Hat), 'brew install haproxy' (macOS)"
)
SECONDS = 10


def find() -> Path:
    """Return the path of a HAProxy that will do.

    Raises:
        MarqueeError: there is none, it is too old, or built without Lua or TLS.
    """
    # Debian puts it where only administrators look by default.
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MarqueeError(f"the front door is HAProxy, and there is none here; {INSTALL}")
    said = subprocess.run(
        [found, "-vv"], capture_output=True, text=True, check=False, timeout=SECONDS
    ).stdout
    version = _version(said)
    if version is None or version < OLDEST:
        shown = said.splitlines()[0] if said else "does not say its version"
        raise MarqueeError(f"{found} is too old for the front door ({shown}); {INSTALL}")
    for part in ("Lua", "OpenSSL"):
        if f"Built with {part}" not in said:
            raise MarqueeError(f"{found} is built without {part}; {INSTALL}")
    return Path(found)


def _version(said: str) -> tuple[int, int] | None:
    match = re.search(r"version (\d+)\.(\d+)", said)
    return None if match is None else (int(match[1]), int(match[2]))
