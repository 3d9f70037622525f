"""Files that appear whole or not at all, and that one process changes at a time."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Lend a path beside ``target`` to be written; it takes the target's place if all ends well.

    The target holds its old bytes until then. Nothing is left beside it, unless the process is
    killed: then a hidden ``.*.part``.
    """
    part = target.with_name(f".{uuid.uuid4().hex}.part")  # two processes never write one part
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_private(target: Path, text: str) -> None:
    """Replace a text file, which its owner alone can read; a crash leaves the old or the new."""
    with replacing(target) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[IO[str]]:
    """Hold a lock file, and lend it; the system lets go of it when its holder dies.

    Raises:
        BlockingIOError: another process holds it, and ``wait`` is false.
    """
    with path.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield lock
