"""Requests a second, p99 and CPU: the runtime against a bare handler, in turns.

    .venv/bin/python -m bench.throughput [--network vgg11] [--rounds 5] [--seconds 5] [--json]

Builds both archives in a temporary project, starts its own server on free ports, stops it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml

from bench.load import Connection, prepared
from bench.wire import cpu_seconds
from marquee.project import Project
from tests.support import BIN, ROOT, Running, make_project, marquee, serving

CLIENTS = (1, 8, 32)
NETWORKS = {"lenet": "1.0", "vgg11": "2.0"}
PID_FILE = ".model_server.pid"
BODY = (ROOT / "tests" / "golden" / "cifar" / "8_ship.png").read_bytes()
CONFIG = {"minWorkers": 1, "maxWorkers": 1, "batchSize": 32, "maxBatchDelay": 1}


def build(project: Project, folder: Path, network: str) -> None:
    """Build cifar's archive with the runtime, and one with the bare handler."""
    shutil.copyfile(ROOT / "config.properties", project.config_file)  # a Java that optimises
    config_file = project.handlers / "cifar" / "model-config.yaml"
    settings = yaml.safe_load(config_file.read_text())
    versions = {NETWORKS[network]: {"weights": [f"{network}.pth"]}}
    settings["marquee"] |= {"default": NETWORKS[network], "versions": versions}
    config_file.write_text(yaml.safe_dump(settings))
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
            *("--serialized-file", project.handlers / "cifar" / "demo" / f"{network}.pth"),
            *("--export-path", project.model_store, "--archive-format", "zip-store"),
        ],
        check=True,
    )


@dataclass(frozen=True)
class Run:
    """What closed loops of clients got: requests a second, latencies, the server's CPU."""

    rate: float
    p99_ms: float
    cpu_ms: float


async def load(running: Running, model: str, clients: int, seconds: float) -> Run:
    """Ask with ``clients`` in closed loops; all must be 200."""
    where = urlsplit(running.inference)
    host, port = str(where.hostname), int(where.port or 80)
    request = prepared(f"/predictions/{model}", BODY, running.keys.get("inference"), host)
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, host, port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            status, _, body = await connection.ask(request)
            took.append(time.perf_counter() - start)
            if status != 200:
                sys.exit(body.decode())
        connection.close()

    processes = [running.process.pid, *(c.pid for c in _family(running))]
    start, cpu = time.perf_counter(), sum(map(cpu_seconds, processes))
    await asyncio.gather(*(one() for _ in range(clients)))
    cpu = sum(map(cpu_seconds, processes)) - cpu
    p99 = statistics.quantiles(took, n=100)[98]
    return Run(len(took) / (time.perf_counter() - start), p99 * 1000, cpu * 1000 / len(took))


def _family(running: Running) -> list[psutil.Process]:
    """Return TorchServe's Java and its workers."""
    java = psutil.Process(int((Path(running.environment["TEMP"]) / PID_FILE).read_text()))
    return [java, *java.children(recursive=True)]


def measure(running: Running, rounds: int, seconds: float) -> list[dict[str, float]]:
    """Take turns, so that whatever else the machine does falls on both."""
    table = []
    for clients in CLIENTS:
        runs: dict[str, list[Run]] = {"cifar": [], "bare": []}
        for model in runs:
            asyncio.run(load(running, model, clients, 2))  # warm
        for _ in range(rounds):
            for model, seen in runs.items():
                seen.append(asyncio.run(load(running, model, clients, seconds)))
        row: dict[str, float] = {"clients": clients}
        for name in ("rate", "p99_ms", "cpu_ms"):
            ours, theirs = ([getattr(run, name) for run in seen] for seen in runs.values())
            row |= {name: statistics.median(ours), f"bare_{name}": statistics.median(theirs)}
            ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
            row |= {f"{name}_ratio": statistics.median(ratios)}
            row |= {f"{name}_from": min(ratios), f"{name}_to": max(ratios)}
        table.append(row)
    return table


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--network", choices=NETWORKS, default="vgg11")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", "cifar")
        build(project, Path(name), options.network)
        with serving(project) as running:
            table = measure(running, options.rounds, options.seconds)
    if options.json:
        print(json.dumps(table))  # noqa: T201
        return
    for row in table:
        print(  # noqa: T201
            "{clients:>3} clients: {rate:.0f}/s against {bare_rate:.0f}, ratio {rate_ratio:.2f} "
            "({rate_from:.2f} to {rate_to:.2f}); p99 {p99_ms:.1f} ms against {bare_p99_ms:.1f}, "
            "ratio {p99_ms_ratio:.2f}; {cpu_ms:.2f} CPU-ms a request against {bare_cpu_ms:.2f}, "
            "ratio {cpu_ms_ratio:.2f} ({cpu_ms_from:.2f} to {cpu_ms_to:.2f})".format(**row)
        )


if __name__ == "__main__":
    main()
