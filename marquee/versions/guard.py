"""A process that outlives a swap's command line, and puts things right if that one is killed.

``python -m marquee.versions.guard ROOT MODEL`` waits until its standard input ends, which is when
the command is over in whatever way. If the plan is still there by then, the command was killed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marquee.project import Project


@contextmanager
def watching(project: Project, model: str) -> Iterator[None]:
    """Have a process watch over the block."""
    log = project.state / f"swap-{model}.log"
    with log.open("w") as said:
        guard = subprocess.Popen(
            [sys.executable, "-m", "marquee.versions.guard", str(project.root.resolve()), model],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,  # a signal for the command's group is not for it
        )
    try:
        yield
    finally:
        if guard.stdin is not None:
            guard.stdin.close()
        guard.wait()


def main() -> int:
    """Wait for the end of the command; put right what it left."""
    root, model = sys.argv[1:3]
    sys.stdin.buffer.read()
    project = Project(Path(root))
    if not (project.state / f"swap-{model}.json").exists():
        return 0
    from marquee.torchserve.management import Management  # noqa: PLC0415
    from marquee.versions import journal  # noqa: PLC0415 - a guard costs nothing until it is needed
    from marquee.versions.recovery import recover  # noqa: PLC0415

    with journal.locked(project, model), Management.of(project) as api:
        plan = journal.unfinished(project, model)
        if plan is not None:
            sys.stdout.write(recover(project, api, plan) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
