"""Hours of everything: mixed traffic, swaps, canaries, killed workers, halted processes.

    .venv/bin/python -m bench.soak [--minutes 60] [--models cifar inkwash ...] [--keep DIR]

Starts its own server with the front door and two workers a model on free ports, and stops it. A
swap or a canary each minute, a worker killed each two minutes, a worker, HAProxy or TorchServe
halted for three seconds each 100 s. Every answer is compared with the archive's golden ones. A
request may be lost only by the worker that was killed with it; memory, descriptors, threads,
sockets and files must not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Sample
from bench.soak_events import Disturber, Event, defaults
from bench.soak_load import RATES, load_of
from bench.soak_watch import Look, files, growth, look
from marquee.project import Project
from tests.support import BIN, Running, make_project, marquee, serving

LOOK_SECONDS = 10.0
CLOCK_SECONDS = 0.1
# Of each model: TorchServe refuses requests (503) while a model's only worker is replaced.
WORKERS = "2"
# Seconds between two things that are done.
PACE = {"operator": 60.0, "kill": 120.0, "halt": 100.0}


@dataclass
class Soak:
    """What came of it.

    Attributes:
        samples: of each model's requests.
        events: what was done to the server.
        looks: what its processes held.
        counted: Unix times, and files in its temporary folder.
    """

    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    events: Sequence[Event] = ()
    looks: list[dict[str, Look]] = field(default_factory=list)
    counted: list[tuple[float, int]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(map(len, self.samples.values()))

    @property
    def wrong(self) -> list[str]:
        """What was wrong with answers of status 200."""
        return [one.wrong for samples in self.samples.values() for one in samples if one.wrong]

    def failed(self) -> dict[str, list[Sample]]:
        """Return the requests without an answer: in a killed worker's hands, and lost."""
        found: dict[str, list[Sample]] = {"in hand": [], "lost": []}
        for model, samples in self.samples.items():
            kills = [one.start for one in self.events if (one.kind, one.model) == (KILLED, model)]
            for one in samples:
                if one.status != 200:
                    found["in hand" if _in_hand(one, kills) else "lost"].append(one)
        return found

    @property
    def problems(self) -> list[str]:
        """What did not go as it should, besides requests."""
        return [f"{one.kind} {one.model}: {one.problem}" for one in self.events if one.problem]


KILLED = "worker killed"


def _in_hand(sample: Sample, kills: Sequence[float]) -> bool:
    """Whether a worker of the model was killed between a request and its answer."""
    end = sample.sent + sample.seconds
    return any(sample.sent <= at + CLOCK_SECONDS and at <= end for at in kills)


async def soak(
    running: Running, models: Sequence[str], seconds: float, pace: Mapping[str, float] = PACE
) -> Soak:
    """Ask and disturb a server for so long."""
    versions = {
        model: sorted(
            path.stem.removeprefix(f"{model}-")
            for path in running.project.model_store.glob(f"{model}-*.mar")
        )
        for model in models
    }
    for model in models:
        done = await asyncio.to_thread(
            marquee, running.project, "scale", model, "--workers", WORKERS, **running.environment
        )
        if done.returncode:
            raise AssertionError(done.stderr)
    serving_now = defaults(running)
    loads = {
        model: load_of(running, model, sorted(known, key=lambda one: one != serving_now[model]))
        for model, known in versions.items()
    }
    disturber, found = Disturber(running, versions), Soak()
    asking = [asyncio.create_task(one.open_loop(RATES[name])) for name, one in loads.items()]
    halts = (disturber.halt_worker, disturber.halt_haproxy, disturber.halt_torchserve)
    doing = [
        asyncio.create_task(disturber.every(pace["operator"], disturber.swap, disturber.canary)),
        asyncio.create_task(disturber.every(pace["kill"], disturber.kill_worker)),
        asyncio.create_task(disturber.every(pace["halt"], *halts)),
    ]
    await _watch(running, found, seconds, doing)
    disturber.end()
    await asyncio.gather(*doing)
    for one in loads.values():
        one.stop()
    await asyncio.gather(*asking)
    found.samples = {name: one.samples for name, one in loads.items()}
    found.events = disturber.events
    return found


async def _watch(
    running: Running, found: Soak, seconds: float, doing: Sequence[asyncio.Task[None]]
) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        found.looks.append(await asyncio.to_thread(look, running))
        found.counted.append((time.time(), await asyncio.to_thread(files, running)))
        ended, _ = await asyncio.wait(doing, timeout=min(LOOK_SECONDS, left))
        for one in ended:
            one.result()  # it ends by its failure alone


def report(found: Soak) -> str:
    """Return what came of it, for docs/reliability.md."""
    failed = found.failed()
    done = Counter(one.kind for one in found.events)
    lines = [
        f"{found.requests} requests: {len(found.wrong)} wrong answers, "
        f"{len(failed['lost'])} lost, {len(failed['in hand'])} in a killed worker's hands",
        ", ".join(f"{kind}: {count}" for kind, count in sorted(done.items())),
        *(f"lost: {one}" for one in failed["lost"][:20]),
        *(f"wrong: {one}" for one in found.wrong[:5]),
        *(f"problem: {one}" for one in found.problems),
        "",
        "| | | after a third | at the end | an hour |",
        "|---|---|--:|--:|--:|",
        *growth(found.looks, found.counted),
    ]
    return "\n".join(lines)


def main() -> int:
    """Soak a server of our own; return 1 if a request was lost or answered wrongly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--models", nargs="+", choices=[*RATES], default=[*RATES])
    parser.add_argument("--keep", type=Path, help="a folder for the project with its archives")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name) / "project"
        project = Project(folder) if folder.is_dir() else make_project(folder, *options.models)
        built = marquee(project, "archive")
        if built.returncode:
            sys.exit(built.stderr)
        with serving(Project(project.root), BIN / "marquee", "serve", "--front") as running:
            found = asyncio.run(soak(running, options.models, 60 * options.minutes))
    print(report(found))  # noqa: T201
    return 1 if found.wrong or found.failed()["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
