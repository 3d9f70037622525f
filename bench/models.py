"""Seconds and peak memory of each model's example on this machine, alone and eight in a batch.

    .venv/bin/python -m bench.models [--rounds 5]

Every archive of the model store is loaded as a worker loads it, in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from tests.support import ROOT

BATCHES = (1, 8)


def load(folder: Path) -> Any:
    """Return the handler of an unpacked archive, loaded and warmed up."""
    from ts.model_loader import ModelLoaderFactory  # noqa: PLC0415

    sys.path.insert(0, str(folder))
    loader = ModelLoaderFactory.get_model_loader()
    service = loader.load("bench", str(folder), "handler.py", gpu_id=None, batch_size=8)
    return service._entry_point.__self__


def measure(folder: Path, rounds: int) -> None:
    """Print a line a batch size: median seconds of the batch, the process' peak memory so far."""
    from handlers.runtime.exchange import Exchange  # noqa: PLC0415

    handler = load(folder)
    body = next(folder.glob("example.*")).read_bytes()
    headers = dict(getattr(handler, "example_headers", {}))
    for size in BATCHES:
        seconds = []
        for _ in range(rounds):
            exchanges = [Exchange({"body": body}, headers) for _ in range(size)]
            start = time.perf_counter()
            handler.answer(exchanges)
            seconds.append(time.perf_counter() - start)
            failed = [e.answer for e in exchanges if e.answer is None or e.answer.status != 200]
            if failed:
                sys.exit(str(failed[0]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(  # noqa: T201
            f"  batch {size}: {statistics.median(seconds):.3f} s "
            f"({min(seconds):.3f} to {max(seconds):.3f}), peak {peak:.0f} MB"
        )


def main() -> None:
    """Measure every archive of the model store, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(options.folder, options.rounds)
        return
    for archive in sorted((ROOT / "model_store").glob("*.mar")):
        print(archive.stem, flush=True)  # noqa: T201
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)
            command = [sys.executable, "-m", "bench.models", "--folder", folder]
            subprocess.run([*command, "--rounds", str(options.rounds)], check=True)


if __name__ == "__main__":
    main()
