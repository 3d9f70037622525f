"""What becomes of the settings that are tried: chosen, refused, or left away for lack of time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from marquee.errors import MarqueeError
from marquee.tuning.connection import WireAnswer
from marquee.tuning.duel import Loaded, Schedule, Unfit
from marquee.tuning.figures import Round
from marquee.tuning.loader import Loader, NotInTime
from marquee.tuning.setting import Setting
from marquee.tuning.trials import BudgetUsed, Goal, Trials, begin

START = Setting(batch=8)
FAST = Setting(batch=8, threads=1)
SHORT = Setting(batch=8, precision="bf16")
GOAL = Goal(budget=300, target=None, clients=8, tolerance=None)
PACE = Schedule((1, 8), 0.0)


@dataclass
class FakeLoaded:
    """A setting that answers at a known rate."""

    setting: Setting
    rate: float
    off: float = 0.0
    unfit: str | None = None
    answers: Sequence[WireAnswer] = ()
    lone: float = 0.01
    loading: float = 0.0
    memory: int = 1 << 20
    unloaded: bool = False

    def measure(self, clients: int, seconds: float) -> Round:
        assert not self.unloaded
        if self.unfit:
            raise Unfit(self.setting, self.unfit)
        return Round(clients, 100 / self.rate, (clients / self.rate,) * 100)

    def deviation(self, _reference: Sequence[WireAnswer]) -> float:
        return self.off

    def unload(self) -> None:
        self.unloaded = True


@dataclass
class FakeLoader:
    """Loads what it has been given."""

    known: dict[Setting, FakeLoaded]
    left: float = 1000.0
    error: MarqueeError | None = None
    reference: Sequence[WireAnswer] = ()
    loads: list[Setting] = field(default_factory=list)

    @property
    def until(self) -> float:
        return time.monotonic() + self.left

    def load(self, setting: Setting) -> FakeLoaded:
        self.loads.append(setting)
        if self.error is not None:
            raise self.error
        return self.known[setting]


def loader(*known: FakeLoaded) -> FakeLoader:
    return FakeLoader({one.setting: one for one in known})


def begun(made: FakeLoader, goal: Goal = GOAL) -> tuple[Trials, list[str]]:
    said: list[str] = []
    start = cast(Loaded, made.load(START))
    trials = Trials(cast(Loader, made), start, goal, PACE, said.append)
    trials.measure_start()
    return trials, said


def test_the_faster_stays_and_the_other_is_unloaded() -> None:
    start, fast = FakeLoaded(START, 100), FakeLoaded(FAST, 150)
    trials, said = begun(loader(start, fast))
    assert trials.better(FAST, START)
    assert trials.best.setting == FAST
    assert trials.best.relative == pytest.approx(1.5)
    assert (start.unloaded, fast.unloaded) == (True, False)
    assert said[-1].endswith("150 a second, p99 53 ms with 8 clients (1.50 times)")


def test_what_is_hardly_faster_is_no_better() -> None:
    start, fast = FakeLoaded(START, 100), FakeLoaded(FAST, 102)
    trials, _ = begun(loader(start, fast))
    assert not trials.better(FAST, START)
    assert trials.best.setting == START
    assert (start.unloaded, fast.unloaded) == (False, True)


def test_the_faster_that_misses_the_target_loses() -> None:
    goal = Goal(budget=300, target=90.0, clients=8, tolerance=None)
    # 8 clients wait 80 ms; 1 client of the other waits 100 ms.
    trials, _ = begun(loader(FakeLoaded(START, 100), FakeLoaded(FAST, 10)), goal)
    assert not trials.better(FAST, START)
    assert trials.within_target()


def test_a_setting_that_does_not_load_is_noted_and_the_search_goes_on() -> None:
    made = loader(FakeLoaded(START, 100))
    trials, said = begun(made)
    made.error = MarqueeError("tune1 1.0 does not load: no memory")
    assert not trials.better(FAST, START)
    assert trials.trials[1].refused == "tune1 1.0 does not load: no memory"
    assert "no memory" in said[-1]


def test_a_setting_that_answers_wrongly_is_never_chosen() -> None:
    wrong = FakeLoaded(FAST, 900, unfit="with 8 clients: answered with 500")
    trials, _ = begun(loader(FakeLoaded(START, 100), wrong))
    assert not trials.better(FAST, START)
    assert trials.trials[1].refused == "with 8 clients: answered with 500"
    assert wrong.unloaded


@pytest.mark.parametrize(
    ("tolerance", "chosen", "why"),
    [
        (None, False, "within 0.02 of fp32; no accuracy is traded without --tolerance"),
        (0.01, False, "within 0.02 of fp32, more than --tolerance 0.01"),
        (0.03, True, None),
    ],
)
def test_accuracy_is_traded_only_where_told(
    tolerance: float | None, chosen: bool, why: str | None
) -> None:
    goal = Goal(budget=300, target=None, clients=8, tolerance=tolerance)
    trials, _ = begun(loader(FakeLoaded(START, 100), FakeLoaded(SHORT, 400, off=0.02)), goal)
    assert trials.better(SHORT, START) == chosen
    assert trials.trials[1].refused == why
    assert trials.trials[1].relative == pytest.approx(4.0)


def test_nothing_is_begun_that_cannot_be_ended() -> None:
    start = FakeLoaded(START, 100, loading=50)
    made = loader(start, FakeLoaded(FAST, 150))
    trials, _ = begun(made)
    made.left = 49
    with pytest.raises(BudgetUsed):
        trials.better(FAST, START)
    made.left, made.error = 60, NotInTime("late")
    with pytest.raises(BudgetUsed):
        trials.better(FAST, START)
    assert [one.setting for one in trials.trials] == [START]


def test_a_budget_for_not_even_one_setting_says_how_much_it_takes() -> None:
    made = loader(FakeLoaded(START, 100))
    made.left = 0.5
    goal = Goal(budget=10, target=None, clients=8, tolerance=None)
    with pytest.raises(MarqueeError, match=r"10 s is too short .* took 10 s, .* at least 1\d s"):
        begin(cast(Loader, made), START, goal, print)
    made.error = NotInTime("late")
    with pytest.raises(MarqueeError, match="10 s were used before it had loaded; expected at leas"):
        begin(cast(Loader, made), START, goal, print)


def test_another_format_that_is_set_already_is_compared_with_fp32_and_kept() -> None:
    exact, short = FakeLoaded(START, 100), FakeLoaded(SHORT, 200, off=0.004)
    made = loader(exact, short)
    trials = begin(cast(Loader, made), SHORT, GOAL, print)
    assert made.loads == [START, SHORT]
    assert exact.unloaded
    assert trials.best.setting == SHORT
    assert trials.best.deviation == 0.004
