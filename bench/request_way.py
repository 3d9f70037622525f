"""What the way of a request costs in a worker: archives against the bare handler, in turns.

    .venv/bin/python -m bench.request_way NAME=FOLDER ... [--batches 1,8,32] [--rounds 5]

Each folder is an unpacked archive (an older one shows what a change brought); ``bare=FOLDER`` has
cifar's network answered by bench/contenders/bare_handler.py. Real worker processes, asked over
TorchServe's own protocol without its Java; milliseconds and CPU milliseconds an item, and log
lines a batch.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.wire import WireWorker, batch_message, timed
from tests.support import ROOT

HEADERS = {"timetravel": {"X-Marquee-Align": "false"}}
BARE = "bare"


def start(name: str, folder: Path, temp: Path, **env: str) -> WireWorker:
    """Start a worker for an unpacked archive, or the bare handler on it."""
    copy = temp / name
    shutil.copytree(folder, copy)
    handler = "handler.py"
    if name.startswith(BARE):
        handler = "bare_handler.py"
        shutil.copyfile(ROOT / "bench" / "contenders" / handler, copy / handler)
        env |= {"BENCH_WEIGHTS": str(next(copy.glob("*.pth")))}
    return WireWorker(copy, handler, 32, temp, **env)


def measure(
    workers: dict[str, WireWorker], message: bytes, size: int, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Take turns; return a row for each worker, with ratios to the first one."""
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for worker in workers.values():
        timed(worker, message, seconds / 2)
    for _ in range(rounds):
        for name, worker in workers.items():
            seen[name].append(timed(worker, message, seconds))
    first = seen[next(iter(workers))]
    return [
        {
            "name": name,
            "batch": size,
            "ms": median_of([statistics.median(one["ms"]) for one in rows]) * 1e3 / size,
            "cpu_ms": median_of([one["cpu"] for one in rows]) * 1e3 / size,
            "lines": median_of([one["lines"] for one in rows]),
            "ratio": median_of(
                [
                    statistics.median(one["ms"]) / statistics.median(other["ms"])
                    for one, other in zip(rows, first, strict=True)
                ]
            ),
            "cpu_ratio": median_of(
                [one["cpu"] / other["cpu"] for one, other in zip(rows, first, strict=True)]
            ),
        }
        for name, rows in seen.items()
    ]


def median_of(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def main() -> None:
    """Print a row for each archive and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--body", type=Path, help="a file; by default the archive's example")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    pairs = (archive.split("=", 1) for archive in options.archives)
    folders = {name: Path(folder).resolve() for name, folder in pairs}
    env = dict(pair.split("=", 1) for pair in options.env)
    first = next(iter(folders.values()))
    body = (options.body or next(first.glob("example.*"))).read_bytes()
    headers = next((h for name, h in HEADERS.items() if name in first.name), {})
    with tempfile.TemporaryDirectory() as temp:
        workers = {name: start(name, folder, Path(temp), **env) for name, folder in folders.items()}
        for size in map(int, options.batches.split(",")):
            message = batch_message([body] * size, headers)
            for row in measure(workers, message, size, options.rounds, options.seconds):
                sys.stdout.write(
                    "{name:>10} batch {batch:2}: {ms:8.3f} ms {cpu_ms:8.3f} CPU-ms an item, "
                    "{lines:4.1f} lines a batch; {ratio:.2f} of the time, {cpu_ratio:.2f} of the "
                    "CPU of the first\n".format(**row)
                )
                sys.stdout.flush()
        for worker in workers.values():
            worker.close()


if __name__ == "__main__":
    main()
