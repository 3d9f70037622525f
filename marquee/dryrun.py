"""Load an unpacked archive as a TorchServe worker would, and answer its example.

Runs as a process of its own (``python -m marquee.dryrun FOLDER``), so that the archive's
modules are imported from the archive and nothing of them stays behind here.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

FAILED = 3


def run(folder: Path) -> str | None:
    """Load the archive unpacked in ``folder``; return what went wrong, or None."""
    # TorchServe, too, puts the archive before what PYTHONPATH names already.
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "marquee.dryrun", str(folder)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
    return lines[-1]


def load(folder: Path) -> None:
    """Load the model in this process, by TorchServe's own loader."""
    from ts.model_loader import ModelLoaderFactory  # noqa: PLC0415 - torch takes seconds

    model = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text())["model"]
    ModelLoaderFactory.get_model_loader().load(
        model["modelName"], str(folder), model["handler"], gpu_id=None, batch_size=1
    )


def main() -> int:
    """Load the archive named on the command line; the last line on stderr says what failed."""
    logging.basicConfig(stream=sys.stderr)
    folder = Path(sys.argv[1])
    sys.path.insert(0, str(folder))
    try:
        load(folder)
    except Exception as error:
        logging.exception("the model does not load")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        sys.stderr.write(kind + " ".join(str(error).split()) + "\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
