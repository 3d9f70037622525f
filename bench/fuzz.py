"""Broken inputs without end, to everything that reads: what it raises, its time, its memory.

    .venv/bin/python -m bench.fuzz [--kinds png,json] [--inputs 10000] [--seconds 600] [--seed 1]
        [--state build/fuzz.json]

A process of its own reads them, so that one that dies or hangs is counted, and the next one goes on
behind it. With ``--state`` a later run goes on where this one ended. ``--show KIND INDEX`` writes
the input with that number to standard output. docs/reliability.md has what was found.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import torch

from bench import fuzz_files, fuzz_requests
from bench.fuzz_kind import Kind
from bench.peak import Peak

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (*fuzz_requests.KINDS, *fuzz_files.KINDS)}
# Of the processor's time, for one input.
MAX_SECONDS = 1.0
# Beside the body, however small it is; and for each of its bytes.
MAX_BESIDE, MAX_PER_BYTE = 64 << 20, 40
# Of what libraries in C write to standard error, which is a worker's log: a line for each row that
# a fax may have.
MAX_LOG, LOG_PER_BYTE = 4 << 20, 40
# Nothing is heard of it for so long: it hangs, however slow the machine.
HANGS = 60.0
PART = 1000
SHOWN = 300


@dataclass(frozen=True)
class Finding:
    """An input that did what none may."""

    kind: str
    index: int
    what: str


@dataclass
class Score:
    """What came of a kind's inputs.

    Attributes:
        inputs: how many were read; the next one has this index.
        read: of them, those that were taken; the others were refused.
        seconds: of the processor, for all.
        slowest: seconds of the processor for one.
        most_over: bytes of memory beside ``MAX_PER_BYTE`` times the input's own.
    """

    inputs: int = 0
    read: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    most_over: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Add what came of the inputs behind these."""
        self.inputs, self.read = self.inputs + other.inputs, self.read + other.read
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.most_over = max(self.most_over, other.most_over)
        self.findings += other.findings


def tried(
    kind: Kind,
    seed: int,
    indices: Sequence[int],
    at: Synchronized[int] | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Score:
    """Read a kind's inputs of these numbers in this process.

    Args:
        at: is set to the number of each before it is read.
        max_seconds: of the processor, for one input.
    """
    score, peak = Score(), Peak()
    with _own_log() as log:
        for index in indices:
            if at is not None:
                at.value = index
            data = kind.case(seed, index)
            written = os.fstat(log).st_size
            peak.reset()
            start = time.thread_time()
            problem, taken = _problem(kind, data)
            seconds = time.thread_time() - start
            over = peak.grown() - MAX_PER_BYTE * len(data)
            written = os.fstat(log).st_size - written
            written -= LOG_PER_BYTE * len(data)
            problem = problem or _excess(seconds, max_seconds, over, written)
            if problem:
                score.findings.append(asdict(Finding(kind.name, index, problem)))
            part = Score(1, int(taken), seconds, seconds, over)
            score.add(part)
    return score


def _problem(kind: Kind, data: bytes) -> tuple[str, bool]:
    """Return what is wrong with how an input was taken or refused, and whether it was taken."""
    try:
        kind.read(data)
    except kind.refusals as error:
        status = getattr(error, "status", 400)
        return ("" if 400 <= status < 500 else f"answered with {status}: {error}"[:SHOWN]), False
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        return f"{type(error).__name__}: {error} ({place})"[:SHOWN], False
    return "", True


def _excess(seconds: float, max_seconds: float, over: int, written: int) -> str:
    if seconds > max_seconds:
        return f"{seconds:.1f} s of the processor, at most {max_seconds:g} are allowed"
    if over > MAX_BESIDE:
        return f"{over >> 20} MB beside {MAX_PER_BYTE} times its own bytes"
    return f"{written >> 10} kB on standard error" if written > MAX_LOG else ""


class _own_log:  # noqa: N801 - used as a function
    """Lend the descriptor of a file that gets what is written to standard error meanwhile."""

    def __enter__(self) -> int:
        self._kept = os.dup(2)
        self._log = os.memfd_create("log")
        os.dup2(self._log, 2)
        return self._log

    def __exit__(self, *_: object) -> None:
        os.dup2(self._kept, 2)
        os.close(self._kept)
        os.close(self._log)


def parts(kind: Kind, seed: int, start: int, stop: int) -> Iterator[Score]:
    """Read a kind's inputs from ``start`` to ``stop`` in processes that may die, part by part."""
    while start < stop:
        score = _in_a_process(kind, seed, range(start, min(stop, start + PART)))
        start += score.inputs
        yield score


def _in_a_process(kind: Kind, seed: int, indices: range) -> Score:
    context = multiprocessing.get_context("fork")
    at: Synchronized[int] = context.Value("q", indices[0])
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=lambda: its.send(tried(kind, seed, indices, at)))
    process.start()
    its.close()
    last, since = at.value, time.monotonic()
    while not mine.poll(0.5):
        if not process.is_alive() and not mine.poll():
            return _died(kind, indices, at.value, f"ended the process ({process.exitcode})")
        if at.value != last:
            last, since = at.value, time.monotonic()
        elif time.monotonic() - since > HANGS:
            process.kill()
            process.join()
            return _died(kind, indices, at.value, f"no end after {HANGS:g} s")
    try:
        score: Score = mine.recv()
    except EOFError:
        process.join()
        return _died(kind, indices, at.value, f"ended the process ({process.exitcode})")
    process.join()
    return score


def _died(kind: Kind, indices: range, index: int, what: str) -> Score:
    """Count an input that ended its process; what is known of those before it is lost with it."""
    return Score(index - indices[0] + 1, findings=[asdict(Finding(kind.name, index, what))])


def main() -> int:
    """Print a line for each kind, and each finding; the exit code is 1 if there was any."""
    options = _options()
    if options.show:
        name, index = options.show
        sys.stdout.buffer.write(KINDS[name].case(options.seed, int(index)))
        return 0
    logging.disable()
    torch.set_num_threads(1)
    kept = _kept(options.state)
    found = 0
    for name in options.kinds.split(",") if options.kinds else KINDS:
        score = kept.setdefault(name, Score())
        before = len(score.findings)
        deadline = time.monotonic() + options.seconds
        for part in parts(KINDS[name], options.seed, score.inputs, score.inputs + options.inputs):
            score.add(part)
            _keep(options.state, kept)
            if time.monotonic() > deadline:
                break
        found += len(score.findings) - before
        print(_line(name, score), *score.findings[before:][:20], sep="\n", flush=True)  # noqa: T201
    print(f"{sum(s.inputs for s in kept.values())} inputs, {found} findings in this run")  # noqa: T201
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each kind at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--show", nargs=2, metavar=("KIND", "INDEX"))
    return parser.parse_args()


def _line(name: str, score: Score) -> str:
    each = 1000 * score.seconds / max(1, score.inputs)
    return (
        f"{name}: {score.inputs} inputs, {score.read} taken, {each:.2f} ms each, slowest "
        f"{score.slowest:.3f} s, {score.most_over / (1 << 20):.1f} MB beside 40 times the body, "
        f"{len(score.findings)} findings"
    )


def _kept(path: Path | None) -> dict[str, Score]:
    if path is None or not path.is_file():
        return {}
    return {name: Score(**score) for name, score in json.loads(path.read_text()).items()}


def _keep(path: Path | None, scores: Mapping[str, Score]) -> None:
    if path is not None:
        path.write_text(json.dumps({name: asdict(score) for name, score in scores.items()}))


if __name__ == "__main__":
    sys.exit(main())
