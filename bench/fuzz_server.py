"""Broken requests to every model of a real server behind its front door.

    .venv/bin/python -m bench.fuzz_server [--requests 10000] [--models cifar,smoke] [--seed 1]
        [--start 0] [--seconds 600]

Starts a server of its own on free ports in a temporary project, and stops it. Nothing but 4xx may
come back (and 507), the workers must stay the same processes, and must not grow.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.fuzz_served import Outcome, asked
from tests.support import BIN, Running, make_project, marquee, serving

MODELS = ("cifar", "inkwash", "rotifer", "smoke", "timetravel")
# Then the deadline is looked at.
PART = 500


def main() -> int:
    """Print a line for each model, and each failure; the exit code is 1 if there was any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="to each model")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="the number of the first one")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each model at most")
    options = parser.parse_args()
    models = options.models.split(",")
    failures = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the server ends with it
    with tempfile.TemporaryDirectory(prefix="mq-fuzz-") as folder:
        project = make_project(Path(folder) / "project", *models)
        built = marquee(project, "archive")
        if built.returncode:
            sys.exit(built.stderr)
        with serving(project, BIN / "marquee", "serve", "--front") as running:
            for model in models:
                outcome = _tried(running, model, options)
                failures += len(outcome.failures)
                print(_line(model, outcome), *outcome.failures[:20], sep="\n", flush=True)  # noqa: T201
    return 1 if failures else 0


def _tried(running: Running, model: str, options: argparse.Namespace) -> Outcome:
    deadline, outcome = time.monotonic() + options.seconds, Outcome()
    key = running.keys.get("inference")
    version = default_version(running, model)
    for start in range(options.start, options.start + options.requests, PART):
        part = asked(
            running.inference,
            key,
            model,
            lambda: running.worker_pids(model, version),
            range(start, min(start + PART, options.start + options.requests)),
            seed=options.seed,
        )
        outcome.statuses += part.statuses
        outcome.failures += part.failures
        outcome.resident += part.resident
        if time.monotonic() > deadline:
            break
    return outcome


def default_version(running: Running, model: str) -> str:
    """Return the version that answers where none is named."""
    with running.management() as client:
        described = client.get(f"/models/{model}").json()
    return str(described[0]["modelVersion"])


def _line(model: str, outcome: Outcome) -> str:
    said = ", ".join(f"{n} times {status}" for status, n in sorted(outcome.statuses.items()))
    first, last = outcome.resident[0] >> 20, outcome.resident[-1] >> 20
    return (
        f"{model}: {sum(outcome.statuses.values())} requests, {said}; workers {first} MB at "
        f"first, {last} MB at last, {outcome.slope:+.0f} bytes a request over the second half; "
        f"{len(outcome.failures)} failures"
    )


if __name__ == "__main__":
    sys.exit(main())
