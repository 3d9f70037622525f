"""Ray Serve beside TorchServe with its front door: the same archives, the same clients.

    .venv/bin/python -m bench.ray [CASE ...] [--rounds 3] [--seconds 3] [--keep DIR] [--haproxy]

For each case `marquee serve --front`, `marquee ray serve` and a process that answers the same
requests in a loop take turns; who does not answer waits. Rounds are added to
bench/results/ray.json, and the table is written beside it. `--haproxy` has Ray's own HAProxy take
the requests in place of its proxy, and is a record of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.machine import described
from bench.served import Alone, Served, build
from bench.served_cases import CASES, Case
from marquee.project import Project
from tests.support import BIN, ROOT, make_project, marquee, only_version, serving

RESULTS = ROOT / "bench" / "results" / "ray.json"
# Of cifar's versions; the others are cases of bench.served.
VERSIONS = {"lenet": "1.0", "vgg11": "2.0"}
USUAL = (*VERSIONS, "inkwash-256")
CLIENTS = (1, 8, 32)
ALONE, TORCHSERVE, RAY, HAPROXY = "alone", "TorchServe", "Ray", "Ray with HAProxy"
# Of what a request takes on the machine, Ray costs less than this from some network time on.
SHARE = 0.1


@dataclass(frozen=True)
class Sample:
    """One turn of one server.

    Attributes:
        case, clients: what was asked, by how many at once.
        server: whose turn it was.
        wall, cpu: seconds a request, of the clock and of the server's processes.
    """

    case: str
    clients: int
    server: str
    wall: float
    cpu: float


def _case(name: str) -> Case:
    if name in VERSIONS:
        return Case("cifar", name, (ROOT / "handlers" / "cifar" / "example.png").read_bytes)
    return CASES[name]


def _built(name: str, folder: Path) -> Project:
    """Return a project with the case's archive alone; made if it is not there."""
    own = folder / _case(name).archive
    if name not in VERSIONS:
        return build(name, own)
    if not own.is_dir():
        done = marquee(only_version(make_project(own, "cifar"), "cifar", VERSIONS[name]), "archive")
        if done.returncode:
            sys.exit(done.stderr)
    return Project(own)


def _copy(project: Project, folder: Path) -> Project:
    """Return a project like another one: two servers in one would be one too many."""
    shutil.copytree(project.root, folder, ignore=shutil.ignore_patterns("logs", ".marquee"))
    return Project(folder)


@contextmanager
def _servers(case: Case, project: Project, *, haproxy: bool) -> Iterator[dict[str, Served]]:
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as name, ExitStack() as stack:
        second = _copy(project, Path(name) / "project")
        front = stack.enter_context(serving(project, BIN / "marquee", "serve", "--front"))
        extra = {"RAY_SERVE_ENABLE_HA_PROXY": "1"} if haproxy else {}
        on_ray = stack.enter_context(serving(second, BIN / "marquee", "ray", "serve", **extra))
        yield {TORCHSERVE: Served(front, case), HAPROXY if haproxy else RAY: Served(on_ray, case)}


def measure(name: str, options: argparse.Namespace, folder: Path) -> Iterator[Sample]:
    """Measure one case; the first answers, which are slower, do not count."""
    case, project = _case(name), _built(name, folder)
    (archive,) = project.model_store.glob("*.mar")
    with tempfile.TemporaryDirectory() as unpacked:
        alone = Alone(archive, Path(unpacked), case)
        with _servers(case, project, haproxy=options.haproxy) as servers:
            lone = min(alone.answer(1)["wall"] for _ in range(3))
            for served in servers.values():
                served.answer(64, 8)
            for _ in range(options.rounds):
                for clients in options.clients:
                    requests = clients * max(1, round(options.seconds / max(lone, 0.002) / clients))
                    found = alone.answer(requests)
                    turns = {ALONE: (found["wall"], found["cpu"])}
                    for server, served in servers.items():
                        turns[server] = served.answer(requests, clients)[:2]
                    for server, (wall, cpu) in turns.items():
                        yield Sample(name, clients, server, wall / requests, cpu / requests)
        alone.end()


def table(samples: list[Sample], machine: str) -> str:
    """Return the page: medians of all rounds."""
    lines = [
        f"# Ray Serve beside TorchServe, {time.strftime('%Y-%m-%d')}",
        "",
        f"{machine}.",
        "",
        "Milliseconds a request, of the clock and of the server's processors: medians of the",
        "rounds; alone is the same handler in a loop, without a server.",
        "",
        "| | clients | server | rounds | ms | CPU ms | beyond alone, ms |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    keys = list(dict.fromkeys((one.case, one.clients, one.server) for one in samples))
    for case, clients, server in sorted(keys, key=lambda key: (USUAL.index(key[0]), key[1])):
        found = _of(samples, case, clients, server)
        beyond = _wall(found) - _wall(_of(samples, case, clients, ALONE))
        extra = "-" if server == ALONE else f"{1000 * beyond:.2f}"
        cpu = statistics.median(one.cpu for one in found)
        numbers = f"{len(found)} | {1000 * _wall(found):.2f} | {1000 * cpu:.2f} | {extra}"
        lines.append(f"| {case} | {clients} | {server} | {numbers} |")
    return "\n".join([*lines, "", *_verdict(samples), ""])


def _verdict(samples: list[Sample]) -> Iterator[str]:
    """Say from which network time on Ray costs less than a tenth of a request."""
    for server in (RAY, HAPROXY):
        lone = [one for one in samples if (one.clients, one.server) == (1, server)]
        if lone:
            case = min(
                {one.case for one in lone}, key=lambda name: _wall(_of(lone, name, 1, server))
            )
            beyond = _wall(_of(lone, case, 1, server)) - _wall(_of(samples, case, 1, ALONE))
            least = 1000 * beyond * (1 - SHARE) / SHARE
            yield (
                f"{server}: {1000 * beyond:.1f} ms beyond the handler's own time for one client, "
                f"measured with {case}; that is less than a tenth from {least:.0f} ms on."
            )


def _of(samples: list[Sample], case: str, clients: int, server: str) -> list[Sample]:
    return [
        one for one in samples if (one.case, one.clients, one.server) == (case, clients, server)
    ]


def _wall(samples: list[Sample]) -> float:
    return statistics.median(one.wall for one in samples)


def write(samples: list[Sample]) -> None:
    """Add samples to the record, and write the table anew."""
    old = json.loads(RESULTS.read_text())["samples"] if RESULTS.is_file() else []
    kept = [Sample(**one) for one in old] + samples
    machine = ", ".join(f"{key} {value}" for key, value in described().items())
    record = {"day": time.strftime("%Y-%m-%d"), "machine": machine}
    content = record | {"samples": [asdict(one) for one in kept]}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    page = table(kept, machine)
    RESULTS.with_suffix(".md").write_text(page)
    print(page)  # noqa: T201


def main() -> None:
    """Measure the cases, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join((*VERSIONS, *CASES)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each turn, about")
    parser.add_argument("--clients", type=int, nargs="*", default=CLIENTS)
    parser.add_argument("--keep", type=Path, help="a folder for projects with their archives")
    parser.add_argument("--haproxy", action="store_true", help="Ray's HAProxy, not its proxy")
    parser.add_argument("--prepare", action="store_true", help="only build them there")
    options = parser.parse_args()
    # Otherwise a server would be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for name in options.cases or USUAL:
            if options.prepare:
                _built(name, folder)
                continue
            write(list(measure(name, options, folder)))


if __name__ == "__main__":
    main()
