"""The five models served by TorchServe, beside the same handlers without a server.

    .venv/bin/python -m bench.served [CASE ...] [--rounds 5] [--seconds 4] [--keep DIR]

For each case `marquee serve` and a process that answers the same requests in a loop take turns;
clients ask anew as soon as they have their answer. Rounds are added to bench/results/served.json,
and the table is written beside it. `--keep` has archives built once for several runs, and
`--prepare` does only that.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil

from bench.machine import Usage, described, others_share
from bench.served_cases import CASES, Case
from marquee.project import Project
from tests.support import ROOT, Running, make_project, marquee, serving

RESULTS = ROOT / "bench" / "results" / "served.json"
PATIENCE = 900  # seconds that a request may take


@dataclass(frozen=True)
class Sample:
    """One turn of both.

    Attributes:
        case, clients: what was asked, by how many at once.
        batched: seconds a request of so many in one batch, without a server.
        alone, served: seconds a request.
        alone_cpu, served_cpu: CPU seconds a request; those of Java are among the served.
        others: share of all cores that others kept busy.
    """

    case: str
    clients: int
    batched: float
    alone: float
    served: float
    alone_cpu: float
    served_cpu: float
    others: float


class Alone:
    """The process without a server."""

    def __init__(self, archive: Path, folder: Path, case: Case) -> None:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        body = folder / "body"
        body.write_bytes(case.body())
        command = [sys.executable, "-m", "bench.unserved", str(folder), str(body)]
        self._process = subprocess.Popen(
            [*command, json.dumps(dict(case.headers))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TS_CONFIG_FILE": str(ROOT / "config.properties")},  # 100 MB out
        )

    def answer(self, requests: int, batch: int = 1) -> dict[str, float]:
        """Answer so many requests in batches; see ``bench.unserved`` for what is returned."""
        print(requests, batch, file=self._process.stdin, flush=True)
        line = next(iter(self._process.stdout or ()), "")
        if not line:
            sys.exit(f"the process without a server ended with {self._process.wait()}")
        found: dict[str, float] = json.loads(line)
        return found

    def end(self) -> None:
        """Let it end."""
        self._process.communicate()


class Served:
    """A server of one model."""

    def __init__(self, running: Running, case: Case) -> None:
        self._path, self._body = f"/predictions/{case.model}", case.body()
        token = running.keys.get("inference")
        self._headers = {**case.headers, "Authorization": f"Bearer {token}"}
        self._address = running.inference.removeprefix("http://")
        self._temp = running.environment["TEMP"]

    def answer(self, requests: int, clients: int) -> tuple[float, float, int]:
        """Let clients ask so many in all: wall seconds, CPU seconds, the longest answer."""
        cpu, start = self._cpu(), time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            lengths = list(pool.map(self._client, [requests // clients] * clients))
        wall = time.perf_counter() - start
        return wall, self._cpu() - cpu, max(lengths)

    def _client(self, requests: int) -> int:
        connection, length = HTTPConnection(self._address, timeout=PATIENCE), 0
        for _ in range(requests):
            connection.request("POST", self._path, self._body, self._headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                sys.exit(body.decode(errors="replace")[:500])
            length = max(length, len(body))
        connection.close()
        return length

    def _cpu(self) -> float:
        """Return the CPU seconds of all that has the server's own temporary folder."""
        spent = 0.0
        for one in psutil.process_iter(["environ", "cpu_times"]):
            if (one.info["environ"] or {}).get("TEMP") == self._temp:
                spent += one.info["cpu_times"].user + one.info["cpu_times"].system
        return spent


def build(name: str, folder: Path) -> Project:
    """Return a project with the case's archive in ``folder``; made if it is not there."""
    project, case = Project(folder), CASES[name]
    if not any(folder.glob("model_store/*.mar")):
        make_project(folder, case.model)
        if case.weights is not None:
            weights = folder / "weights" / case.model
            weights.mkdir(parents=True)
            case.weights(weights)
        done = marquee(project, "archive")
        if done.returncode:
            sys.exit(done.stderr)
    return project


@contextmanager
def running(name: str, folder: Path) -> Iterator[tuple[Alone, Served]]:
    """Start both; stop them."""
    case, project = CASES[name], build(name, folder)
    (archive,) = project.root.glob("model_store/*.mar")
    with tempfile.TemporaryDirectory() as unpacked, serving(project) as server:
        alone = Alone(archive, Path(unpacked), case)
        try:
            yield alone, Served(server, case)
        finally:
            alone.end()


def turn(name: str, alone: Alone, served: Served, clients: int, seconds: float) -> Sample:
    """Let both answer as many requests as take about ``seconds``."""
    lone = alone.answer(1)["wall"]
    requests = clients * max(1, round(seconds / lone / clients))
    before, start = Usage.now(), time.perf_counter()
    plain = alone.answer(requests)
    batched = alone.answer(requests, clients) if clients > 1 else plain
    wall, cpu, length = served.answer(requests, clients)
    busy = plain["cpu"] + (batched["cpu"] if clients > 1 else 0) + cpu
    others = others_share(before, Usage.now(), busy, time.perf_counter() - start)
    if abs(length - plain["length"]) > 0.02 * plain["length"]:
        sys.exit(f"{name}: {length} bytes were served, {plain['length']} are right")
    return Sample(
        case=name,
        clients=clients,
        batched=round(batched["wall"] / requests, 5),
        alone=round(plain["wall"] / requests, 5),
        served=round(wall / requests, 5),
        alone_cpu=round(plain["cpu"] / requests, 5),
        served_cpu=round(cpu / requests, 5),
        others=round(others, 3),
    )


def measure(name: str, options: argparse.Namespace, folder: Path) -> list[Sample]:
    """Measure one case; the first answers, which are slower, do not count."""
    samples = []
    with running(name, folder) as (alone, served):
        alone.answer(1)
        served.answer(2, 2)
        for _ in range(options.rounds):
            for clients in options.clients or CASES[name].clients:
                samples.append(turn(name, alone, served, clients, options.seconds))
                sys.stderr.write(f"{samples[-1]}\n")
    return samples


def table(record: dict[str, object], samples: list[Sample]) -> str:
    """Return the page: medians of all rounds, and the extremes."""
    lines = [
        f"# The five models, served and without a server, {record['day']}",
        "",
        f"{record['machine']}.",
        "",
        "Ratios of rates (served / without a server): medians of the rounds, and the extremes. A",
        "batch of as many as there are clients is answered in the process without a server, beside",
        "the same requests one by one. Ratios above 1 are chance, or what others took.",
        "",
        "| | clients | rounds | served / without | CPU, served / without | batch / alone, seconds "
        "| ms alone | ms served | others |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in CASES:
        for clients in sorted({s.clients for s in samples if s.case == name}):
            lines.append(_row([s for s in samples if (s.case, s.clients) == (name, clients)]))
    return "\n".join(lines) + "\n"


def _row(rounds: list[Sample]) -> str:
    rates = sorted(one.alone / one.served for one in rounds)
    middle = statistics.median
    batch = middle(one.batched / one.alone for one in rounds)
    cells = [
        rounds[0].case,
        str(rounds[0].clients),
        str(len(rounds)),
        f"{middle(rates):.2f} ({rates[0]:.2f} to {rates[-1]:.2f})",
        f"{middle(one.served_cpu / one.alone_cpu for one in rounds):.2f}",
        f"{batch:.2f}" if rounds[0].clients > 1 else "-",
        f"{1000 * middle(one.alone for one in rounds):.0f}",
        f"{1000 * middle(one.served for one in rounds):.0f}",
        f"{middle(one.others for one in rounds):.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def write(samples: list[Sample]) -> None:
    """Add samples to the record, and write the table anew."""
    old = json.loads(RESULTS.read_text())["samples"] if RESULTS.is_file() else []
    kept = [Sample(**one) for one in old] + samples
    machine = ", ".join(f"{key} {value}" for key, value in described().items())
    record = {"day": time.strftime("%Y-%m-%d"), "machine": machine}
    content = record | {"samples": [asdict(one) for one in kept]}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    page = table(dict(record), kept)
    RESULTS.with_suffix(".md").write_text(page)
    print(page)  # noqa: T201


def main() -> None:
    """Measure the cases, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of each turn, about")
    parser.add_argument("--clients", type=int, nargs="*")
    parser.add_argument("--keep", type=Path, help="a folder for projects with their archives")
    parser.add_argument("--prepare", action="store_true", help="only build them there")
    options = parser.parse_args()
    # Otherwise a server would be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for name in options.cases or CASES:
            if options.prepare:
                build(name, folder / CASES[name].archive)
            else:
                write(measure(name, options, folder / CASES[name].archive))


if __name__ == "__main__":
    main()
