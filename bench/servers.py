"""Contenders that run: one is awake at a time, all others are frozen."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from bench.contenders.network import Classifier
from bench.contenders.start import Setting, Start
from bench.loads import Load
from bench.machine import Usage, others_share
from bench.openloop import is_right, open_loop
from bench.outcome import Outcome, of_seconds
from bench.pictures import Picture, pictures
from bench.processes import Family, wait_until
from bench.record import Sample
from bench.wrk import closed_loop
from marquee.errors import MarqueeError
from tests.support import BIN

READY_SECONDS = 180
SETTLED = 5
SHOWN = 400


class NotReady(Exception):
    """A server that did not come up, or answers something else; says what it printed."""


@dataclass
class Expected:
    """The network's own answers."""

    classifier: Classifier
    _known: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, name: str) -> Mapping[str, float]:
        """Return class -> probability of a picture of bench.pictures."""
        if name not in self._known:
            self._known[name] = self.classifier.answer(pictures()[name].body)
        return self._known[name]

    def of_echo(self) -> Expected:
        """Return what an echo handler answers instead."""
        return Expected(
            self.classifier,
            {name: {"bytes": len(each.body)} for name, each in pictures().items()},
        )


class Server:
    """A contender that was started."""

    def __init__(self, start: Start, expected: Expected) -> None:
        self.start, self.expected = start, expected
        self.family = Family(start)
        self._client = httpx.Client(timeout=20, trust_env=False)

    def wait(self) -> None:
        """Return when it answers rightly, and freeze it.

        Raises:
            NotReady: it ended, or the time is over.
        """
        small = pictures()["png"]
        if not wait_until(lambda: self._answers(small) or not self.family.alive, READY_SECONDS):
            raise NotReady(f"no right answer in {READY_SECONDS} s; {self._said()}")
        if not self.family.alive:
            raise NotReady(f"it ended; {self._said()}")
        self._rest()

    def _said(self) -> str:
        output = (self.start.folder / "output.txt").read_text(errors="replace")
        return f"it printed: {' '.join(output[-SHOWN:].split())}"

    def _answers(self, picture: Picture) -> bool:
        try:
            asked = self.start.asked(picture.body)
            answer = self._client.post(
                self.start.url, content=asked.body, headers=dict(asked.headers)
            )
        except (httpx.HTTPError, MarqueeError, OSError):
            return False
        right = is_right(answer.content, self.expected.of("png"), picture.tolerance)
        return answer.status_code == 200 and right

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Wake it, and wait until it answers as ever; freeze it again at the end."""
        self.family.wake()
        try:
            for _ in range(SETTLED):
                if not wait_until(lambda: self._answers(pictures()["png"]), READY_SECONDS):
                    raise NotReady(f"it does not answer any more; {self._said()}")
            yield
        finally:
            self._rest()

    def _rest(self) -> None:
        if self.start.frozen:
            self.family.freeze()

    def under(self, load: Load, seconds: float, saturated: float) -> tuple[Outcome, float]:
        """Return what came of a load, and the CPU seconds it took."""
        picture = pictures()[load.picture]
        asked, right = self.start.asked(picture.body), self.expected.of(load.picture)
        url, tolerance, before = self.start.url, picture.tolerance, self.family.cpu_seconds()
        if load.clients:
            whole = max(1, round(seconds))
            outcome = closed_loop(
                url, asked, right, clients=load.clients, seconds=whole, tolerance=tolerance
            )
        else:
            rate = load.share * saturated
            outcome = open_loop(url, asked, right, rate=rate, seconds=seconds, tolerance=tolerance)
        return outcome, self.family.cpu_seconds() - before

    def resident_mb(self) -> float:
        """Return its memory."""
        return self.family.resident_mb()

    def ask_to_stop(self) -> None:
        """Let it begin to end."""
        self.family.ask_to_stop()

    def stop(self) -> None:
        """End it."""
        self._client.close()
        self.family.stop()


class Limit:
    """The contender without a server; it waits for a line while others are measured."""

    def __init__(self, setting: Setting, expected: Expected) -> None:
        self.expected = expected
        folder = setting.own_folder("limit")
        files = []
        for name, picture in pictures().items():
            (folder / name).write_bytes(picture.body)
            files.append(folder / name)
        self._process = subprocess.Popen(
            [BIN / "python", "-m", "bench.contenders.limit", *files],
            env=setting.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        """Return when it has answered a picture."""
        self.under(Load("ready", "png", clients=1), 0.1, 0.0)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """It needs no waking."""
        yield

    def under(self, load: Load, seconds: float, saturated: float) -> tuple[Outcome, float]:
        """Return what came of batches of as many as there are clients, and the CPU seconds."""
        index = list(pictures()).index(load.picture)
        print(index, load.clients, seconds, file=self._process.stdin, flush=True)
        found = json.loads(next(iter(self._process.stdout or ())))
        took = [each for each in found["took"] for _ in range(load.clients)]
        tolerance = pictures()[load.picture].tolerance
        right = is_right(found["answer"].encode(), self.expected.of(load.picture), tolerance)
        wrong = 0 if right else len(took)
        return of_seconds(took, sum(found["took"]), wrong, 0), found["cpu"]

    def resident_mb(self) -> float:
        """Its memory says nothing about servers."""
        return 0.0

    def ask_to_stop(self) -> None:
        """Let it begin to end."""
        self._process.terminate()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


Runner = Server | Limit


def sampled(
    name: str, runner: Runner, load: Load, seconds: float, *, number: int, saturated: float
) -> Sample:
    """Measure one contender under one load, awake alone."""
    with runner.awake():
        before, start = Usage.now(), time.perf_counter()
        outcome, cpu = runner.under(load, seconds, saturated)
        after, total = Usage.now(), time.perf_counter() - start
    return Sample(
        round=number,
        contender=name,
        load=load.name,
        rate=round(outcome.rate, 2),
        asked_rate=round(load.share * saturated, 2),
        p50_ms=round(outcome.p50_ms, 3),
        p99_ms=round(outcome.p99_ms, 3),
        cpu_s=round(1000 * cpu / max(1, outcome.requests), 3),
        wrong=outcome.wrong,
        failed=outcome.failed,
        others=round(others_share(before, after, cpu, total), 3),
    )


@contextmanager
def running(
    starts: Mapping[str, Callable[[Setting], Start] | None], setting: Setting, expected: Expected
) -> Iterator[tuple[dict[str, Runner], dict[str, str]]]:
    """Start all side by side; yield those that answer, and why the others do not; stop all."""
    prepared = {name: prepare and prepare(setting) for name, prepare in starts.items()}
    runners: dict[str, Runner] = {}
    missing: dict[str, str] = {}
    try:
        for name, start in prepared.items():
            runners[name] = Server(start, expected) if start else Limit(setting, expected)
        for name, runner in list(runners.items()):
            try:
                runner.wait()
            except NotReady as error:
                missing[name] = str(error)
                runners.pop(name).stop()
        yield runners, missing
    finally:
        for runner in runners.values():
            runner.ask_to_stop()  # all of them end side by side
        for runner in runners.values():
            runner.stop()
