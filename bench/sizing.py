"""What batch size and workers do: requests a second and latencies of cifar's VGG11.

    .venv/bin/python -m bench.sizing [--seconds 5] [--json]

Starts its own server on free ports with the archive registered once for each batch size, sends
closed loops of clients to each in turn, then again with two workers, and stops it. The clients
run on the same machine: on few cores they take their share, so read ratios, not figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.support import ROOT, Running, make_project, marquee, serving

CLIENTS = (1, 8, 32)
BATCHES = (1, 8, 32)
BODY = (ROOT / "tests" / "golden" / "cifar" / "8_ship.png").read_bytes()
WARM_UP = 20


async def load(running: Running, model: str, clients: int, seconds: float) -> list[float]:
    """Return the seconds each request took, of ``clients`` in closed loops; all must be 200."""
    headers = {"Authorization": f"Bearer {running.keys.get('inference')}"}
    limits = httpx.Limits(max_connections=clients)
    took: list[float] = []
    async with httpx.AsyncClient(
        base_url=running.inference, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:

        async def ask() -> None:
            start = time.perf_counter()
            (await client.post(f"/predictions/{model}", content=BODY)).raise_for_status()
            took.append(time.perf_counter() - start)

        async def loop(end: float) -> None:
            while time.perf_counter() < end:
                await ask()

        for _ in range(WARM_UP):
            await ask()
        took.clear()
        end = time.perf_counter() + seconds
        await asyncio.gather(*(loop(end) for _ in range(clients)))
    return took


def register(running: Running, batch: int) -> str:
    """Register the archive under a name of its own with this batch size."""
    name = f"batch{batch}"
    query: dict[str, str | int] = {"url": "cifar-2.0.mar", "model_name": name}
    query |= {"batch_size": batch, "synchronous": "true"}
    with running.management() as api:
        api.post("/models", params=query).raise_for_status()
    return name


def scale(running: Running, name: str, workers: int) -> None:
    """Set the number of workers and wait for them."""
    query: dict[str, str | int] = {"min_worker": workers, "max_worker": workers}
    query["synchronous"] = "true"
    with running.management() as api:
        api.put(f"/models/{name}", params=query).raise_for_status()


def measured(running: Running, name: str, seconds: float, **setting: int) -> list[dict[str, Any]]:
    """Return a row for each number of clients."""
    rows = []
    for clients in CLIENTS:
        took = asyncio.run(load(running, name, clients, seconds))
        quantiles = statistics.quantiles(took, n=100)
        row = {"clients": clients, "requests_s": len(took) / seconds}
        rows.append(setting | row | {"p50_ms": quantiles[49] * 1e3, "p99_ms": quantiles[98] * 1e3})
    return rows


def run(seconds: float) -> list[dict[str, Any]]:
    """Measure everything and return the rows."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", "cifar")
        built = marquee(project, "archive")
        if built.returncode != 0:
            sys.exit(built.stderr)
        rows = []
        with serving(project) as running:
            for batch in BATCHES:
                name = register(running, batch)
                rows += measured(running, name, seconds, batch=batch, workers=1)
                scale(running, name, 2)
                rows += measured(running, name, seconds, batch=batch, workers=2)
                scale(running, name, 0)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run(options.seconds)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    sys.stdout.write(
        f"{'batch':>5} {'workers':>7} {'clients':>7} {'requests/s':>10} p50 / p99 ms\n"
    )
    for row in rows:
        sys.stdout.write(
            f"{row['batch']:5} {row['workers']:7} {row['clients']:7} {row['requests_s']:10.0f} "
            f"{row['p50_ms']:.1f} / {row['p99_ms']:.1f}\n"
        )


if __name__ == "__main__":
    main()
