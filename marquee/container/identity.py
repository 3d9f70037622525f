"""Who the container runs as: it takes what it is given, and keeps root for as long as it must.

SageMaker mounts /opt/ml for root, and starts containers as the image says. Ours may start as root:
it gives its user the folders that are written to, and goes on as that user.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from marquee.errors import MarqueeError

log = logging.getLogger(__name__)

# The image sets it; outside of an image root stays root.
RUN_AS = "MARQUEE_RUN_AS"


def step_down(environ: Mapping[str, str], written: Iterable[Path]) -> None:
    """Become the user that the environment names, if this is root; its group stays root's.

    Args:
        written: folders that are made where they are missing, and given to that user with
            what is in them.

    Raises:
        MarqueeError: the variable names no user id, or a folder cannot be made.
    """
    user = _user(environ)
    if os.getuid() != 0 or user == 0:
        return
    for folder in written:
        _give(folder, user)
    try:
        os.setgroups([0])
        os.setgid(0)
        os.setuid(user)
    except PermissionError as error:
        # Root without its capabilities (--cap-drop all) is no more than any user.
        log.warning("Warning: still root: becoming user %d was refused (%s)", user, error.strerror)
        return
    log.info("started as root, running as user %d", user)


def _user(environ: Mapping[str, str]) -> int:
    text = environ.get(RUN_AS, "").strip() or "0"
    if not text.isdecimal() or int(text) >= 1 << 31:
        raise MarqueeError(f"{RUN_AS} is {text!r}; expected a user id such as 1001, or 0 for root")
    return int(text)


def _give(folder: Path, user: int) -> None:
    """Make a folder and give it to a user; links in it are not followed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, -1, follow_symlinks=False)
    except OSError as error:
        # Whether it can be written to shows later, with a sentence for it.
        log.warning("Warning: %s cannot be given to user %d (%s)", folder, user, error.strerror)
