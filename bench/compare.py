"""marquee beside the alternatives: one network, one machine, in turns.

    .venv/bin/python -m bench.compare [--rounds 5] [--minutes 10] [--network vgg11] [--only NAME,…]
    .venv/bin/python -m bench.compare --rounds 1 --append bench/results/vgg11.json

Starts every contender, freezes all but the one that is measured, and checks every answer against
the network's own. Writes the record, a table and a plot. `python -m bench.install` comes before.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from bench.contenders.all import CONTENDERS
from bench.contenders.network import Classifier
from bench.contenders.start import VERSIONS, Setting
from bench.loads import LOADS, SATURATED, USUAL, Load
from bench.machine import described, versions
from bench.plot import draw
from bench.record import Record, Sample
from bench.servers import Expected, NotReady, Runner, running, sampled
from bench.table import render
from tests.support import ROOT

RESULTS = ROOT / "bench" / "results"
WARM_UP = Load("warm-up", "png", 32)


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each load, whole")
    parser.add_argument(
        "--minutes", type=float, default=9.5, help="no round begins that would pass"
    )
    parser.add_argument("--network", choices=list(VERSIONS), default="vgg11")
    parser.add_argument(
        "--only", type=_names_of(CONTENDERS), default=list(CONTENDERS), metavar="NAME,..."
    )
    parser.add_argument("--loads", type=_names_of(LOADS), default=USUAL, metavar="NAME,...")
    parser.add_argument("--taken", type=int, default=0, help="cores kept busy by another program")
    parser.add_argument("--append", type=Path, help="add the rounds to this record")
    return parser.parse_args()


def _names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return what reads a list of names of ``known``, and refuses others."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"nothing is called {unknown[0]!r}; expected some of {', '.join(known)}"
            )
        return names

    return read


@contextmanager
def taken_cores(count: int) -> Iterator[None]:
    """Keep ``count`` cores busy, as another program would."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


class Comparison:
    """The rounds of one run."""

    def __init__(self, runners: dict[str, Runner], loads: list[Load], seconds: float) -> None:
        self._runners, self._loads, self._seconds = runners, loads, seconds
        self._saturated: dict[str, float] = {}
        self.samples: list[Sample] = []
        self.missing: dict[str, str] = {}

    def warm_up(self) -> None:
        """Let compilers compile, and find the rate that each can just keep up with."""
        for name, runner in self._runners.items():
            warm = sampled(name, runner, WARM_UP, self._seconds, number=-1, saturated=0.0)
            self._saturated[name] = warm.rate

    def round(self, number: int) -> None:
        """Measure everybody under every load; who comes first changes from round to round."""
        names = list(self._runners)
        turn = number % len(names)
        for load in self._loads:
            for name in names[turn:] + names[:turn]:
                self._measure(name, load, number)

    def _measure(self, name: str, load: Load, number: int) -> None:
        if name in self.missing or (name == "limit" and not load.clients):
            return
        try:
            sample = sampled(
                name,
                self._runners[name],
                load,
                self._seconds * load.portion,
                number=number,
                saturated=self._saturated[name],
            )
        except NotReady as error:
            self.missing[name] = f"it fell out in round {number + 1}: {error}"
            return
        if load.name == SATURATED:
            self._saturated[name] = sample.rate
        self.samples.append(sample)
        sys.stderr.write(
            f"{number + 1} {load.name:8} {name:10} {sample.rate:7.0f}/s  p50 {sample.p50_ms:6.1f}  "
            f"p99 {sample.p99_ms:6.1f} ms  CPU {sample.cpu_s:5.2f} s/1000  "
            f"wrong {sample.wrong}, failed {sample.failed}  others {sample.others:.0%}\n"
        )


def compared(chosen: argparse.Namespace) -> Record:
    """Run it all."""
    begun = time.monotonic()
    record = Record(chosen.network, chosen.taken, described(), versions())
    record.days = [datetime.now(timezone.utc).date().isoformat()]
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as folder:
        setting = Setting(Path(folder), chosen.network)
        names = {name: CONTENDERS[name].start for name in chosen.only}
        expected = Expected(Classifier(setting.weights))
        with running(names, setting, expected) as (runners, missing), taken_cores(chosen.taken):
            loads = [LOADS[name] for name in chosen.loads]
            comparison = Comparison(runners, loads, chosen.seconds)
            comparison.warm_up()
            _rounds(comparison, chosen.rounds, begun + 60 * chosen.minutes)
            record.resident_mb = {name: one.resident_mb() for name, one in runners.items()}
    record.samples, record.missing = comparison.samples, missing | comparison.missing
    return record


def _rounds(comparison: Comparison, count: int, until: float) -> None:
    """Run rounds while the next one is likely to end in time; the first one in any case."""
    longest = 0.0
    for number in range(count):
        start = time.monotonic()
        if number and start + longest > until:
            sys.stderr.write(f"the time is over after {number} rounds\n")
            return
        comparison.round(number)
        longest = max(longest, time.monotonic() - start)


def write(record: Record, path: Path) -> str:
    """Write record, table and plot; return the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record.save(path)
    text = render(record)
    path.with_suffix(".md").write_text(text)
    draw(record, path.with_suffix(".svg"))
    return text


def main() -> None:
    """Compare, write, print."""
    chosen = options()
    # Ended by `timeout` or a service, it must not leave frozen servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    record = compared(chosen)
    suffix = f"-{chosen.taken}-taken" if chosen.taken else ""
    path = chosen.append or RESULTS / f"{chosen.network}{suffix}.json"
    if chosen.append and path.is_file():
        record = Record.load(path).join(record)
    sys.stdout.write(write(record, path))
    if any(sample.wrong or sample.failed for sample in record.samples):
        sys.exit("some answers were wrong or failed: see the table")


if __name__ == "__main__":
    main()
