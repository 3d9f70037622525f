"""Run the checks on an unpacked archive: ``python -m marquee.conformance FOLDER ARCHIVE OUT``.

Each result is a line of JSON in the file OUT as soon as it is known, so that a crash or a hang
takes none of those before it along.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from marquee.archives.worker import OfflineWorker
from marquee.conformance.subject import (
    FAILED,
    OK,
    SKIPPED,
    CheckFailed,
    CheckResult,
    CheckSkipped,
    Subject,
)
from marquee.conformance.suite import CHECKS, LOAD, SILENCE

BATCH = 4


def main() -> int:
    """Run all checks; the exit code is 0 when they ran, whatever came of them."""
    folder, archive, out = (Path(word) for word in sys.argv[1:4])
    logging.basicConfig(stream=sys.stderr)
    sys.path.insert(0, str(folder))
    stdout = out.with_suffix(".stdout")
    os.dup2(os.open(stdout, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), 1)
    loaded: list[OfflineWorker] = []
    with out.open("w", buffering=1) as sink:
        _run(sink, LOAD, _load, folder, loaded)
        if not loaded:
            return 0
        subject = Subject(loaded[0], folder, archive)
        for name, check in CHECKS.items():
            _run(sink, name, check, subject)
        _run(sink, SILENCE, _silent, stdout)
    subject.worker.close()
    return 0


def _load(folder: Path, loaded: list[OfflineWorker]) -> str:
    loaded.append(OfflineWorker(folder, BATCH))
    return ""


def _silent(stdout: Path) -> str:
    """Check that nothing was printed: TorchServe takes lines on stdout for commands."""
    sys.stdout.flush()
    printed = stdout.read_text(errors="replace")
    if printed:
        raise CheckFailed(f"it printed {printed[:100]!r}; use logging instead of print")
    return ""


def _run(sink: TextIO, name: str, check: Callable[..., str], *of: Any) -> None:
    start = time.monotonic()
    try:
        outcome, detail = OK, check(*of)
    except CheckFailed as error:
        outcome, detail = FAILED, str(error)
    except CheckSkipped as error:
        outcome, detail = SKIPPED, str(error)
    except Exception as error:  # such as an answer that nothing here can read
        logging.exception("%s", name)
        outcome, detail = FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}"
    result = CheckResult(name, outcome, detail, round(time.monotonic() - start, 3))
    sink.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
