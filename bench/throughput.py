"""Requests a second: the runtime against a bare handler, same network, same server, in turns.

    .venv/bin/python -m bench.throughput [--rounds 5] [--seconds 5] [--json]

Builds both archives in a temporary project, starts its own server on free ports, stops it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import yaml

from marquee.project import Project
from tests.support import BIN, ROOT, Running, make_project, marquee, serving

CLIENTS = (1, 8, 32)
BODY = (ROOT / "tests" / "golden" / "cifar" / "8_ship.png").read_bytes()
CONFIG = {"minWorkers": 1, "maxWorkers": 1, "batchSize": 32, "maxBatchDelay": 1}


def build(project: Project, folder: Path) -> None:
    """Build cifar's archive with the runtime, and one with the bare handler."""
    done = marquee(project, "archive")
    if done.returncode != 0:
        sys.exit(done.stderr)
    config = folder / "bare.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    extra = folder / "extra"
    (extra / "handlers").mkdir(parents=True)
    for room in ("cifar", "runtime"):
        (extra / "handlers" / room).symlink_to(project.handlers / room)
    (extra / "handlers" / "__init__.py").touch()
    subprocess.run(
        [
            BIN / "torch-model-archiver",
            *("--model-name", "bare", "--version", "1.0", "--config-file", config),
            *("--handler", ROOT / "bench" / "bare_handler.py", "--extra-files", extra),
            *("--serialized-file", project.handlers / "cifar" / "demo" / "vgg11.pth"),
            *("--export-path", project.model_store, "--archive-format", "zip-store"),
        ],
        check=True,
    )


async def load(running: Running, model: str, clients: int, seconds: float) -> float:
    """Return requests answered a second by ``clients`` in closed loops; all must be 200."""
    headers = {"Authorization": f"Bearer {running.keys.get('inference')}"}
    answered = 0
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=running.inference, headers=headers, limits=limits, trust_env=False, timeout=60
    ) as client:
        end = time.perf_counter() + seconds

        async def one() -> None:
            nonlocal answered
            while time.perf_counter() < end:
                answer = await client.post(f"/predictions/{model}", content=BODY)
                answer.raise_for_status()
                answered += 1

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        return answered / (time.perf_counter() - start)


def measure(running: Running, rounds: int, seconds: float) -> list[dict[str, float]]:
    """Take turns, so that whatever else the machine does falls on both."""
    table = []
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {"cifar": [], "bare": []}
        for model in rates:
            asyncio.run(load(running, model, clients, 2))  # warm
        for _ in range(rounds):
            for model, seen in rates.items():
                seen.append(asyncio.run(load(running, model, clients, seconds)))
        pairs = zip(rates["cifar"], rates["bare"], strict=True)
        table.append(
            {
                "clients": clients,
                "runtime_rps": statistics.median(rates["cifar"]),
                "bare_rps": statistics.median(rates["bare"]),
                "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
            }
        )
    return table


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", "cifar")
        build(project, Path(name))
        with serving(project) as running:
            table = measure(running, options.rounds, options.seconds)
    if options.json:
        print(json.dumps(table))  # noqa: T201
        return
    for row in table:
        print(  # noqa: T201
            f"{row['clients']:>3} clients: runtime {row['runtime_rps']:.0f}/s, "
            f"bare {row['bare_rps']:.0f}/s, ratio {row['ratio']:.2f}"
        )


if __name__ == "__main__":
    main()
