"""Load an unpacked archive as a TorchServe worker would, and make its golden requests.

Runs as a process of its own (``python -m marquee.archives.dryrun FOLDER OUT``), so that the
archive's modules are imported from the archive and nothing of them stays behind here.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import trial
from marquee.archives.worker import Worker

FAILED = 3


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that imports the archive unpacked in ``folder``."""
    # TorchServe, too, puts the archive before what PYTHONPATH names already.
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Tried:
    """What came of loading an archive.

    Attributes:
        made: the folder of files that belong into it: golden requests.
        problem: why it does not load, or None.
        refused: what it said to those of its examples that it cannot process.
    """

    made: Path
    problem: str | None = None
    refused: tuple[str, ...] = ()


def run(folder: Path, out: Path) -> Tried:
    """Load the archive unpacked in ``folder``, and write its golden requests into ``out``."""
    notes = out.with_name(f"{out.name}.refused")
    done = subprocess.run(
        [sys.executable, "-m", "marquee.archives.dryrun", str(folder), str(out), str(notes)],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return Tried(out, refused=tuple(json.loads(notes.read_text())))
    lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
    return Tried(out, problem=lines[-1])


def main() -> int:
    """Try the archive named on the command line; the last line on stderr says what failed."""
    logging.basicConfig(stream=sys.stderr)
    folder, out, notes = map(Path, sys.argv[1:])
    sys.path.insert(0, str(folder))
    try:
        worker = Worker(folder)
        trial.make(worker, folder, out)
        notes.write_text(json.dumps([*getattr(worker.handler, "refused_examples", ())]))
    except Exception as error:
        logging.exception("the model does not load")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        sys.stderr.write(kind + " ".join(str(error).split()) + "\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
