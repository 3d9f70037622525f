"""Find HAProxy, or say how to get it; let it check a configuration."""

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
    path = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise MarqueeError(f"the front door is HAProxy, and there is none here; {INSTALL}")
    build = subprocess.run(
        [path, "-vv"], capture_output=True, text=True, check=False, timeout=SECONDS
    ).stdout
    version = re.search(r"version (\d+)\.(\d+)", build)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        named = build.splitlines()[0] if build else "does not say its version"
        raise MarqueeError(f"{path} is too old for the front door ({named}); {INSTALL}")
    for part in ("Lua", "OpenSSL"):
        if f"Built with {part}" not in build:
            raise MarqueeError(f"{path} is built without {part}; {INSTALL}")
    return Path(path)


def check(config: Path) -> None:
    """Let HAProxy check a configuration.

    Raises:
        MarqueeError: with HAProxy's own words.
    """
    done = subprocess.run(
        [find(), "-c", "-f", config], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode != 0:
        words = complaint(done.stderr.splitlines())
        raise MarqueeError(f"HAProxy refuses the front's settings: {words}")


def complaint(lines: list[str]) -> str:
    """Return the first alert of what HAProxy printed, or else its last line."""
    alerts = [line.partition(" : ")[2] for line in lines if line.startswith("[ALERT]")]
    return next(iter(alerts), "") or (lines[-1] if lines else "it said nothing")
