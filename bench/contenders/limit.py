"""No server: the same decode, network and JSON in a loop, the bound that no server can pass.

    python -m bench.contenders.limit FILE...

Reads lines of `file index, batch, seconds` and answers each with a line of JSON: the seconds of
every batch, and the CPU seconds that they took together.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.contenders.network import Classifier, pixels_of


def looped(classifier: Classifier, body: bytes, batch: int, seconds: float) -> dict[str, object]:
    """Answer batches of one file for ``seconds``; the last answer comes along, to be checked."""
    took: list[float] = []
    answers: list[str] = []
    cpu, end = time.process_time(), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        found = classifier.answers([pixels_of(body, reduced=True) for _ in range(batch)])
        answers = [json.dumps(answer) for answer in found]
        took.append(time.perf_counter() - start)
    return {"took": took, "cpu": time.process_time() - cpu, "answer": answers[-1]}


def main() -> None:
    """Answer lines until there are none."""
    bodies = [Path(name).read_bytes() for name in sys.argv[1:]]
    classifier = Classifier()
    for line in sys.stdin:
        index, batch, seconds = line.split()
        found = looped(classifier, bodies[int(index)], int(batch), float(seconds))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
