"""A setting on the server, asked and measured; two in turns, so that noise falls on both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isinf

from marquee import processes
from marquee.errors import MarqueeError
from marquee.interrupts import check, waited
from marquee.torchserve.inference import path_of
from marquee.torchserve.management import Version
from marquee.tuning.agreement import deviation, rounding
from marquee.tuning.connection import WireAnswer, prepared
from marquee.tuning.figures import CLEARLY_BETTER, MARGIN, Round, advantage, settled, steady
from marquee.tuning.load import Load
from marquee.tuning.questions import Question
from marquee.tuning.server import TuningServer
from marquee.tuning.setting import Setting

ROUNDS = 3


class Unfit(MarqueeError):
    """A setting that does not answer as it should under load."""

    def __init__(self, setting: Setting, why: str) -> None:
        super().__init__(why)
        self.setting = setting


@dataclass(frozen=True)
class Schedule:
    """How long each measurement takes.

    Attributes:
        clients: how many ask at a time; one measurement each.
        seconds: of each.
    """

    clients: tuple[int, ...]
    seconds: float

    @property
    def round(self) -> float:
        """The seconds of a round, of one setting."""
        return len(self.clients) * self.seconds


@dataclass
class Loaded:
    """A setting on the server.

    Attributes:
        model: as the server describes it.
        answers: to each question, alone.
        lone: seconds that a lone request took, at its second time; of the slowest.
        loading: seconds until it was ready to be measured.
    """

    setting: Setting
    model: Version
    server: TuningServer
    questions: Sequence[Question]
    hangs: float
    answers: list[WireAnswer] = field(default_factory=list)
    lone: float = 0.0
    loading: float = 0.0

    @property
    def memory(self) -> int:
        """Return the bytes of RAM that the workers hold; 0 of those that have ended."""
        alive = filter(None, (processes.running(one["pid"]) for one in self.model.workers))
        return sum(int(process.memory_info().rss) for process in alive)

    @property
    def on_gpu(self) -> bool:
        """Whether a worker has a GPU."""
        return any(worker.get("gpu") for worker in self.model.workers)

    def ask(self) -> list[str]:
        """Ask each question twice, alone, and keep the answers.

        Returns:
            A sentence for each question that is not answered with a success.
        """
        refused = []
        for index, question in enumerate(self.questions):
            for _ in range(2):
                load = self._load([index])
                took = self._run(load, 1, 0.0)
            if load.problem is not None:
                refused.append(f"{question.name} ({load.problem})")
                continue
            self.answers.append(load.answers[0][1])
            self.lone = max(self.lone, *took.latencies)
        return refused

    def measure(self, clients: int, seconds: float) -> Round:
        """Let clients ask; each different answer must be that to a lone request.

        Raises:
            Unfit: what was wrong with one.
        """
        load = self._load(range(len(self.questions)))
        found = self._run(load, clients, seconds)
        if load.problem is not None:
            raise Unfit(self.setting, f"with {clients} clients: {load.problem}")
        tolerance = rounding(self.setting.precision)
        for index, answer in load.answers:
            off = _apart(self.answers[index], answer)
            if off > tolerance:
                raise Unfit(
                    self.setting,
                    f"with {clients} clients {self.questions[index].name} has another answer than "
                    f"alone{'' if isinf(off) else f' (off by {off:.2g})'}",
                )
        return found

    def deviation(self, reference: Sequence[WireAnswer]) -> float:
        """Return how far the answers are from others, at the most."""
        return max(_apart(*pair) for pair in zip(reference, self.answers, strict=True))

    def _load(self, indices: Sequence[int]) -> Load:
        host, token = f"{self.server.host}:{self.server.port}", self.server.token()
        path = f"/{path_of(self.model.name, None)}"
        asked = [self.questions[index] for index in indices]
        requests = [prepared(path, one.body, token, host, one.headers) for one in asked]
        return Load(self.server.host, self.server.port, requests, self.hangs)

    @staticmethod
    def _run(load: Load, clients: int, seconds: float) -> Round:
        """Measure in a thread of its own: Ctrl-C does not wait for a slow model."""
        return waited(lambda: load.run(clients, seconds))

    def unload(self) -> None:
        """Take it from the server."""
        self.server.unload(self.model)


def _apart(expected: WireAnswer, actual: WireAnswer) -> float:
    return deviation(expected.headers.get("content-type", ""), expected.body, actual.body)


@dataclass(frozen=True)
class DuelResult:
    """Who won, and the rounds of both."""

    won: bool
    challenger: list[Round]
    holder: list[Round]


def duel(
    challenger: Loaded, holder: Loaded, schedule: Schedule, target: float | None, until: float
) -> DuelResult:
    """Measure two settings in turns, as often as it takes to tell which is better.

    Args:
        target: p99 in milliseconds that both should keep, or None.
        until: moment of ``time.monotonic`` after which no round is begun, but the first.

    Raises:
        Unfit: the challenger or the holder answers wrongly.
    """
    new: list[Round] = []
    old: list[Round] = []
    warm_up(challenger, schedule)
    for number in range(1, ROUNDS + 1):
        for clients in schedule.clients:
            # Who comes second finds the machine as the first has left it: they take turns in that.
            for loaded, rounds in ((challenger, new), (holder, old))[:: 1 if number % 2 else -1]:
                check()
                rounds.append(loaded.measure(clients, schedule.seconds))
        ratio = advantage(new, old, target)
        if settled(ratio, number) or time.monotonic() + 2 * schedule.round > until:
            break
    # One round alone may be luck.
    needed = MARGIN if number > 1 else CLEARLY_BETTER
    return DuelResult(ratio > needed and steady(new, old, target), new, old)


def warm_up(loaded: Loaded, schedule: Schedule) -> None:
    """Let the most clients ask, and forget it: networks and Java are slow at first."""
    loaded.measure(schedule.clients[-1], schedule.seconds)


def schedule_for(budget: float, clients: int, lone: float) -> Schedule:
    """Return how to measure a model within a budget.

    Args:
        budget: seconds for everything.
        clients: at the most.
        lone: seconds that a lone request takes. A slow model has fewer clients: all their requests
            should be answered in a twentieth of the budget, though each waits for the others.
    """
    seconds = max(lone, min(2.0, max(0.3, budget / 300)))
    most = max(min(2, clients), min(clients, int(budget / 20 / max(lone, 1e-6))))
    return Schedule(tuple(sorted({1, max(1, most // 4), most})), seconds)
