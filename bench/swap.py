"""Nothing is lost: cifar is swapped under load, forth and back, and every request is counted.

    .venv/bin/python -m bench.swap [--swaps 10] [--clients 32] [--rate 20] [--only NAME] [--ray]

Starts its own server on free ports in a temporary project, and stops it. Three parts: sound
swaps LeNet -> VGG11 -> LeNet; new versions that are broken; a worker and the command line killed.
The clients are in this process, on the server's cores: `client_cpu` tells what they take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import Load, right_answers
from bench.swap_parts import PARTS, Bench
from bench.swap_table import summary, table
from marquee.project import Project
from marquee.tuning.connection import prepared
from tests.support import BIN, GOLDEN, Running, make_project, marquee, serving

PICTURES = sorted((GOLDEN / "cifar").glob("*.png"))
VERSIONS = ("1.0", "2.0")


def new_load(running: Running, model: str = "cifar") -> Load:
    """Return clients for a model, with the right answers of its versions."""
    address = urlsplit(running.inference)
    host, port = str(address.hostname), int(address.port or 80)
    bodies = [path.read_bytes() for path in PICTURES]
    token = running.keys.get("inference")
    with running.client() as client:
        expected = {
            f"{model}/{version}": right_answers(client, model, version, bodies)
            for version in VERSIONS
        }
    path = f"/predictions/{model}"
    return Load(host, port, [prepared(path, body, token, host) for body in bodies], expected)


@asynccontextmanager
async def under_load(load: Load, clients: int, rate: float) -> AsyncIterator[None]:
    """Run the clients during the block, and wait until each has its last answer."""
    tasks = [asyncio.create_task(load.closed_loop(turn)) for turn in range(clients)]
    if rate:
        tasks.append(asyncio.create_task(load.open_loop(rate)))
    try:
        yield
    finally:
        load.stop()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)  # the connections they closed are gone with the next turn


async def measure(running: Running, options: argparse.Namespace) -> Bench:
    """Run the parts that are wanted under one load."""
    bench = Bench(running, new_load(running), options.swaps, options.watch, options.gap)
    used, start = time.process_time(), time.perf_counter()
    async with under_load(bench.load, options.clients, options.rate):
        await asyncio.sleep(options.gap)
        for name, part in PARTS.items():
            if options.only in (None, name):
                await part(bench)
                await asyncio.sleep(options.gap)
    bench.client_cpu = (time.process_time() - used) / (time.perf_counter() - start)
    return bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print the table or JSON; return 1 if a request was lost or answered wrongly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rate", type=float, default=20, help="open loop, requests a second")
    parser.add_argument("--watch", type=float, default=5, help="seconds, as in marquee swap")
    parser.add_argument("--gap", type=float, default=6, help="seconds between swaps")
    parser.add_argument("--only", choices=[*PARTS], help="run one part only")
    parser.add_argument("--ray", action="store_true", help="a server on Ray, not TorchServe")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", "cifar")
        built = marquee(project, "archive")
        if built.returncode:
            sys.exit(built.stderr)
        command = (BIN / "marquee", "ray", "serve") if options.ray else ()
        with serving(Project(project.root), *command) as running:
            bench = asyncio.run(measure(running, options))
    found = summary(bench)
    print(json.dumps(found) if options.json else table(bench, found))  # noqa: T201
    return 0 if found["unexpected"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
