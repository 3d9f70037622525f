"""Seconds of a request against load, by Poisson arrivals, beside a queueing model.

    .venv/bin/python -m bench.queueing [CASE ...] [--seconds 8] [--keep DIR] [--prepare] [--draw]

Each case is `marquee serve --front` with one model. Clients that ask anew at once tell what its
batches take; then requests come at shares of what it can do, whether or not answers do. All is
added to bench/results/queueing.json; the table and docs/images/queueing.svg are made from it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import yaml

from bench import queueing_cost
from bench.contenders.start import Asked
from bench.machine import described
from bench.openloop import Clients
from bench.queueing_plot import draw, table
from marquee.project import Project
from tests.support import BIN, ROOT, Running, make_project, marquee, only_version, serving

RESULTS = ROOT / "bench" / "results" / "queueing.json"
SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
SEED = 14


@dataclass(frozen=True)
class Case:
    """A model, how many workers it has, and what is sent.

    Attributes:
        batch: its batchSize.
        closed: numbers of clients that ask anew at once, to learn what batches take.
        seconds: of each load, as many times as usual.
    """

    model: str
    version: str
    workers: int
    body: Path
    batch: int
    closed: tuple[int, ...]
    seconds: float = 1.0


PICTURE = ROOT / "tests" / "golden" / "cifar" / "4_deer.png"
PHOTO = ROOT / "handlers" / "inkwash" / "example.jpg"
BATCHES, ALONE = (1, 2, 4, 8, 16, 32, 64), (1, 2, 4)
CASES = {
    "lenet-1": Case("cifar", "1.0", 1, PICTURE, 32, BATCHES),
    "lenet-2": Case("cifar", "1.0", 2, PICTURE, 32, BATCHES),
    "vgg11-1": Case("cifar", "2.0", 1, PICTURE, 32, BATCHES),
    "vgg11-2": Case("cifar", "2.0", 2, PICTURE, 32, BATCHES),
    "inkwash-256-1": Case("inkwash", "1.0", 1, PHOTO, 1, ALONE, 2.0),
    "inkwash-256-2": Case("inkwash", "1.0", 2, PHOTO, 1, ALONE, 2.0),
}


def build(case: Case, folder: Path) -> Project:
    """Return a project with the case's archive; made if it is not there."""
    if (folder / "model_store").is_dir():
        return Project(folder)
    project = only_version(make_project(folder, case.model), case.model, case.version)
    # With all of Java's optimising, which the tests do without.
    shutil.copyfile(ROOT / "config.properties", folder / "config.properties")
    path = project.handlers / case.model / "model-config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(
        yaml.safe_dump(config | dict.fromkeys(("minWorkers", "maxWorkers"), case.workers))
    )
    done = marquee(project, "archive")
    if done.returncode:
        sys.exit(done.stderr)
    return project


class Door:
    """The front door of a running server, asked for one model."""

    def __init__(self, running: Running, case: Case) -> None:
        token = running.keys.get("inference")
        kind = "image/png" if case.body.suffix == ".png" else "image/jpeg"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        self._asked = Asked(case.body.read_bytes(), headers)
        self._url = f"{running.inference}/predictions/{case.model}"

    def closed(self, count: int, seconds: float) -> dict[str, float]:
        """Have so many clients ask anew as soon as they are answered; return what came of it."""
        clients = Clients(self._url, self._asked, {}, 1.0)
        start = time.perf_counter()
        asyncio.run(clients.keep_asking(count, seconds))
        rate = len(clients.answered) / (time.perf_counter() - start)
        return _summary(clients) | {"rate": rate}

    def open(self, rate: float, seconds: float) -> dict[str, float]:
        """Ask ``rate`` times a second, at random moments; return what came of it."""
        clients = Clients(self._url, self._asked, {}, 1.0)
        asyncio.run(clients.run(poisson(rate, seconds)))
        return _summary(clients) | {"offered": rate}


def _summary(clients: Clients) -> dict[str, float]:
    """Return seconds of the answers, and the share of requests that got none: a full queue."""
    took = clients.answered
    if len(took) < 2:
        sys.exit(f"of {len(clients.took)} requests {len(took)} were answered")
    mean = statistics.fmean(took)
    return {
        "requests": len(clients.took),
        "refused": 1 - len(took) / len(clients.took),
        "mean": mean,
        "median": statistics.median(took),
        "p95": statistics.quantiles(took, n=20)[-1],
        "spread": statistics.pstdev(took) / mean,
    }


def poisson(rate: float, seconds: float) -> Iterator[float]:
    """Yield the moments of independent arrivals, the same each time."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    gaps = (chance.expovariate(rate) for _ in iter(int, 1))
    return islice(accumulate(gaps), max(1, int(rate * seconds)))


def measure(case: Case, folder: Path, seconds: float) -> dict[str, Any]:
    """Return what was found of one case."""
    project, long = build(case, folder), seconds * case.seconds
    with serving(project, BIN / "marquee", "serve", "--front") as running:
        door = Door(running, case)
        door.closed(case.closed[-1], long / 2)  # the first answers are slower
        closed = {n: door.closed(n, long / 3) for n in case.closed}
        most = max(each["rate"] for each in closed.values())
        opened = {share: door.open(share * most, long) for share in SHARES}
    record = {"workers": case.workers, "batch": case.batch, "capacity": most}
    return record | {"closed": closed, "open": opened}


def write(name: str, found: dict[str, Any]) -> None:
    """Put one case into the record."""
    old = json.loads(RESULTS.read_text())["cases"] if RESULTS.is_file() else {}
    machine = ", ".join(f"{key} {value}" for key, value in described().items())
    cases = {one: found if one == name else old[one] for one in CASES if one in {*old, name}}
    record = {"day": time.strftime("%Y-%m-%d"), "machine": machine, "cases": cases}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Measure the cases one after the other, or draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--keep", type=Path, help="a folder for projects with their archives")
    parser.add_argument("--prepare", action="store_true", help="only build them there")
    parser.add_argument("--draw", action="store_true", help="only draw and print the record")
    options = parser.parse_args()
    # Otherwise a server would be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as temporary:
        for name in () if options.draw else options.cases or CASES:
            folder = (options.keep or Path(temporary)) / name
            if options.prepare:
                build(CASES[name], folder)
            else:
                write(name, measure(CASES[name], folder, options.seconds))
    if not options.prepare:
        record = json.loads(RESULTS.read_text())
        draw(record)
        print(table(record))  # noqa: T201
        if CASES.keys() <= record["cases"].keys():
            print(queueing_cost.table(record))  # noqa: T201


if __name__ == "__main__":
    main()
