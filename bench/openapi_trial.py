"""Random requests to the running server, as its OpenAPI document has them, and what was not so.

    .venv/bin/python -m bench.openapi_trial [--examples 200] [--model cifar] [--seed 1]

What takes long is asked for less: pictures of at most 64 pixels, explanations of at most 8 steps.
"""

from __future__ import annotations

import argparse
import json
import sys

from marquee.openapi.document import document
from marquee.openapi.served import served
from marquee.project import Project
from marquee.torchserve.connection import keys_of
from tests.openapi_trial import cheaper, tried


def main() -> int:
    """Print how often each operation was answered how; the exit code is 1 if any answer was not as
    the document says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--model")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    project = Project.find()
    keys = keys_of(project)
    asked = cheaper(json.loads(json.dumps(document(served(project, options.model)))), **MOST)
    trial = tried(
        asked,
        asked["servers"][0]["url"],
        "" if keys is None else keys.get("inference"),
        examples=options.examples,
        number=options.seed,
    )
    for operation, counts in trial.statuses.items():
        print(f"{operation}: " + ", ".join(f"{s} {n} times" for s, n in sorted(counts.items())))  # noqa: T201
    print(f"{trial.requests} requests, {len(trial.failures)} failures", *trial.failures, sep="\n")  # noqa: T201
    return 1 if trial.failures else 0


MOST = {"size": 64, "steps": 8}


if __name__ == "__main__":
    sys.exit(main())
