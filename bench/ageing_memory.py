"""Resident and peak memory of face ageing, as multiples of the weight file's size.

    .venv/bin/python -m bench.ageing_memory sam_ffhq_aging.pt [--ages 25,35,55,75]

Runs the real handler in a process of its own; the example face is asked for twice.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import psutil

from tests.handlers.timetravel.support import CROPPED, EXAMPLE, ask, serve


def show(what: str, memory: int, size: int) -> None:
    """Print a line: megabytes, and how often the weights would fit into them."""
    print(f"{what:<16} {memory / 1e6:6.0f} MB  {memory / size:.2f} x the weights")  # noqa: T201


def main() -> None:
    """Load, ask, and print what stays in memory and what was there at the most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--ages", default="25,35,55,75")
    options = parser.parse_args()
    size = options.weights.stat().st_size
    handler = serve(options.weights.resolve())
    process = psutil.Process()
    show("loaded", process.memory_info().rss, size)
    headers = {**CROPPED, "X-Marquee-Ages": options.ages, "Accept": "image/jpeg"}
    for turn in ("first", "second"):
        start = time.perf_counter()
        answer = ask(handler, EXAMPLE.read_bytes(), **headers)
        if answer.status != 200:
            raise SystemExit(answer.body.decode())
        show(f"after the {turn}", process.memory_info().rss, size)
        print(f"                 {time.perf_counter() - start:6.1f} s")  # noqa: T201
    show("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, size)


if __name__ == "__main__":
    main()
