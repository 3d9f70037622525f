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
from functools import partial
from pathlib import Path

from marquee.archives.worker import Worker
from marquee.conformance.result import FAILED, OK, SKIPPED, CheckFailed, CheckResult, CheckSkipped
from marquee.conformance.subject import Subject
from marquee.conformance.suite import CHECKS, LOAD, SILENCE

BATCH = 4


def main() -> int:
    """Run all checks; the exit code is 0 when they ran, whatever came of them."""
    folder, archive, out = (Path(word) for word in sys.argv[1:4])
    logging.basicConfig(stream=sys.stderr)
    sys.path.insert(0, str(folder))
    stdout = out.with_suffix(".stdout")
    os.dup2(os.open(stdout, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), 1)
    loaded: list[Worker] = []
    with out.open("w") as sink:
        _write(sink.fileno(), _run(LOAD, partial(_load, folder, loaded)))
        if not loaded:
            return 0
        subject = Subject(loaded[0], folder, archive)
        for name, check in CHECKS.items():
            _write(sink.fileno(), _run(name, partial(check, subject)))
        _write(sink.fileno(), _run(SILENCE, partial(_silent, stdout)))
    subject.worker.close()
    return 0


def _load(folder: Path, loaded: list[Worker]) -> str:
    loaded.append(Worker(folder, BATCH))
    return ""


def _silent(stdout: Path) -> str:
    """Check that nothing was printed: TorchServe takes lines on stdout for commands."""
    sys.stdout.flush()
    printed = stdout.read_text(errors="replace")
    if printed:
        raise CheckFailed(f"it printed {printed[:100]!r}; use logging instead of print")
    return ""


def _run(name: str, check: Callable[[], str]) -> CheckResult:
    start = time.monotonic()
    try:
        outcome, detail = OK, check()
    except CheckFailed as error:
        outcome, detail = FAILED, str(error)
    except CheckSkipped as error:
        outcome, detail = SKIPPED, str(error)
    except Exception as error:  # such as an answer that nothing here can read
        logging.exception("%s", name)
        outcome, detail = FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return CheckResult(name, outcome, detail, round(time.monotonic() - start, 3))


def _write(sink: int, result: CheckResult) -> None:
    os.write(sink, (json.dumps(asdict(result)) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
