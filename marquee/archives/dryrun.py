"""Load an unpacked archive as a TorchServe worker would, and make its golden requests.

Runs as a process of its own (``python -m marquee.archives.dryrun FOLDER OUT``), so that the
archive's modules are imported from the archive and nothing of them stays behind here.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from marquee.archives import golden_making
from marquee.archives.worker import Worker

FAILED = 3


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that imports the archive unpacked in ``folder``."""
    # TorchServe, too, puts the archive before what PYTHONPATH names already.
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder: Path, out: Path) -> str | None:
    """Load the archive unpacked in ``folder``, and write its golden requests into ``out``.

    Returns:
        What went wrong, or None.
    """
    done = subprocess.run(
        [sys.executable, "-m", "marquee.archives.dryrun", str(folder), str(out)],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
    return lines[-1]


def main() -> int:
    """Try the archive named on the command line; the last line on stderr says what failed."""
    logging.basicConfig(stream=sys.stderr)
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(folder))
    try:
        golden_making.make(Worker(folder), folder, out)
    except Exception as error:
        logging.exception("the model does not load")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        sys.stderr.write(kind + " ".join(str(error).split()) + "\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
