"""Settings measured against the best so far, until the budget is used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from marquee.errors import MarqueeError
from marquee.tuning.duel import DuelResult, Loaded, Schedule, Unfit, duel, schedule_for, warm_up
from marquee.tuning.figures import busiest, levels, served
from marquee.tuning.loader import Loader, NotInTime
from marquee.tuning.report import Trial, agreement
from marquee.tuning.setting import FP32, Setting

Say = Callable[[str], None]


class BudgetUsed(Exception):
    """There is no time for another setting."""


@dataclass(frozen=True)
class Goal:
    """What is wanted, and in which time.

    Attributes:
        budget: seconds for everything.
        target: p99 in milliseconds to keep, or None.
        clients: that ask at a time, at the most.
        tolerance: how far answers may be from fp32's; None where no accuracy may be traded.
    """

    budget: float
    target: float | None
    clients: int
    tolerance: float | None


class Trials:
    """Every setting that was tried, and the best so far, which stays loaded.

    Args:
        holder: the setting as it was, loaded.
        say: gets a line for each setting.

    Attributes:
        trials: in their order; the first is the setting as it was.
        best: the best so far.
    """

    def __init__(
        self, loader: Loader, holder: Loaded, goal: Goal, schedule: Schedule, say: Say
    ) -> None:
        self._loader, self._goal, self._schedule, self._say = loader, goal, schedule, say
        self.holder = holder
        self.best = self._seen(Trial(holder.setting), holder)
        self.trials = [self.best]

    def measure_start(self) -> None:
        """Measure the setting as it was, once.

        Raises:
            MarqueeError: it answers wrongly.
        """
        warm_up(self.holder, self._schedule)
        found = [self.holder.measure(n, self._schedule.seconds) for n in self._schedule.clients]
        self.best.levels = levels(found)
        self._tell(self.best)

    def better(self, challenger: Setting, _best: Setting) -> bool:
        """Measure a setting against the best so far, which it replaces where it is better.

        Raises:
            BudgetUsed: no time is left for it.
        """
        # A round of both, twice, and one for practice.
        if self._loader.left < self.holder.loading + 5 * self._schedule.round:
            raise BudgetUsed
        trial = Trial(challenger)
        try:
            loaded = self._loader.load(challenger)
        except NotInTime as error:
            raise BudgetUsed from error
        except MarqueeError as error:
            trial.refused = str(error)
            won = False
        else:
            won = self._fought(trial, loaded)
        self.trials.append(trial)
        self._tell(trial)
        return won

    def _fought(self, trial: Trial, challenger: Loaded) -> bool:
        """Let two settings fight; the loser leaves the server."""
        self._seen(trial, challenger)
        holder, target = self.holder, self._goal.target
        try:
            outcome = duel(challenger, holder, self._schedule, target, self._loader.until)
        except Unfit as error:
            who = "" if error.setting == trial.setting else "the best so far, beside it: "
            trial.refused, won = f"{who}{error}", False
        else:
            self._note(trial, outcome)
            trial.refused = self._trade(trial)
            won = outcome.won and trial.refused is None
        if won:
            self.holder, self.best = challenger, trial
        (holder if won else challenger).unload()
        return won

    def _seen(self, trial: Trial, loaded: Loaded) -> Trial:
        trial.memory, trial.deviation = loaded.memory, loaded.deviation(self._loader.reference)
        return trial

    def _note(self, trial: Trial, outcome: DuelResult) -> None:
        """Keep the figures of both: in turns they can be compared."""
        new, old = outcome.challenger, outcome.holder
        trial.levels, self.best.levels = levels(new), levels(old)
        trial.relative = self.best.relative * busiest(new) / busiest(old)

    def _trade(self, trial: Trial) -> str | None:
        """Return why a setting would trade accuracy that may not be traded, or None."""
        if trial.setting.precision in (FP32, self.trials[0].setting.precision):
            return None
        if self._goal.tolerance is None:
            return f"{agreement(trial)}; no accuracy is traded without --tolerance"
        if trial.deviation > self._goal.tolerance:
            return f"{agreement(trial)}, more than --tolerance {self._goal.tolerance:g}"
        return None

    def within_target(self) -> bool:
        """Whether the best setting keeps the target."""
        return served(self.best.levels, self._goal.target) is not None

    def _tell(self, trial: Trial) -> None:
        if not trial.levels:
            self._say(f"{trial.setting}: {trial.refused}")
            return
        top = trial.levels[-1]
        figures = f"{top.rate:.4g} a second, p99 {top.p99:.0f} ms with {top.clients} clients"
        self._say(f"{trial.setting}: {figures} ({trial.relative:.2f} times)")


def begin(loader: Loader, start: Setting, goal: Goal, say: Say) -> Trials:
    """Load the setting as it is, and compare its answers with those in fp32.

    Raises:
        MarqueeError: it does not load or refuses a question, or the budget is too short for it
            alone.
    """
    try:
        exact = loader.load(replace(start, precision=FP32))
        loader.reference = exact.answers
        holder = exact
        if start.precision != FP32:
            exact.unload()
            holder = loader.load(start)
    except NotInTime as error:
        raise _too_short(loader, goal, 0.0) from error
    schedule = schedule_for(goal.budget, goal.clients, holder.lone)
    needed = schedule.round + schedule.seconds  # the last is for practice
    if loader.left < needed:
        raise _too_short(loader, goal, needed)
    return Trials(loader, holder, goal, schedule, say)


def _too_short(loader: Loader, goal: Goal, needed: float) -> MarqueeError:
    used = goal.budget - loader.left
    said = f"{used:.0f} s were used before it had loaded"
    if needed:
        said = f"starting and loading took {used:.0f} s, measuring takes {needed:.0f} s"
    return MarqueeError(
        f"the budget of {goal.budget:g} s is too short for even one setting: {said}; expected at "
        f"least {used + (needed or used) + 1:.0f} s (--budget), and minutes to compare several"
    )
