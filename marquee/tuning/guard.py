"""A process that outlives a tuning's command, and ends its server if the command is killed.

``python -m marquee.tuning.guard FOLDER`` waits until its standard input ends; a command that ends
in any other way than killed has ended the guard by then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marquee.project import Project
from marquee.torchserve import server


@contextmanager
def watching(own: Project) -> Iterator[None]:
    """Have a process watch over the block, and over a project that is its own temporary folder."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "marquee.tuning.guard", own.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a signal for the command's group is not for it
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


def main() -> None:
    """Wait for the end of the command; stop its server, and remove the folder."""
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    server.stop(Project(folder, {**os.environ, "TEMP": str(folder)}))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
