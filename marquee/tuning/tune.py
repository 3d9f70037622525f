"""Tune a model: the steps, from its archive to the best setting in its model-config.yaml."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from marquee import interrupts
from marquee.archives import build, rooms
from marquee.archives.manifest import version_order
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.scratch import scratch
from marquee.tuning import configfile, questions
from marquee.tuning.climb import Space, climb
from marquee.tuning.duel import Loaded
from marquee.tuning.loader import Loader
from marquee.tuning.questions import Question
from marquee.tuning.report import Trial, TuningReport
from marquee.tuning.server import made_project, running
from marquee.tuning.setting import changes, setting_of
from marquee.tuning.trials import BudgetUsed, Goal, Say, Trials, begin
from marquee.tuning.variants import Variants

# What of the free memory more workers may take.
MEMORY_SHARE = 0.8
INTERRUPTED = "interrupted"
ON_CPU, ON_GPU = ("bf16",), ("tf32", "bf16", "fp16")


def tune(
    project: Project,
    model: str,
    files: Iterable[Path] = (),
    *,
    version: str | None = None,
    budget: float = 300.0,
    p99: float | None = None,
    clients: int = 32,
    precision: bool = False,
    tolerance: float | None = None,
    parameters: Mapping[str, str] | None = None,
    accept: str | None = None,
    say: Say = lambda _: None,
) -> TuningReport:
    """Try settings of a model under load on this machine, and return what was seen.

    A server of its own is started and stopped; one of the project's may go on, but takes its share
    of the machine. Ctrl-C ends the search, and what was measured is returned.

    Args:
        files: pictures, and folders of them, that are asked about in turns; the archive's example
            when there are none.
        version: of the model; the default one when None.
        budget: seconds from the server's start to its stop, about.
        p99: milliseconds within which 99 of 100 answers must come; the most requests a second
            win among settings that keep it. None: whatever the p99.
        clients: that ask at a time, at the most (1 to 100).
        precision: whether other number formats are tried; chosen with ``tolerance`` only.
        tolerance: how far answers may be from fp32's: :func:`marquee.tuning.agreement.deviation`.
        parameters, accept: as of :func:`marquee.predict`.
        say: gets a line for each setting that was tried.

    Raises:
        MarqueeError: there is no such model; a file is not there or refused; no server can be
            started; the budget is too short for even one setting.
        Interrupted: a signal came before anything was measured.
    """
    chosen = rooms.version_of(project, model, _version(project, model, version))
    asked = questions.of_files(model, files, parameters or {}, accept)
    goal = Goal(budget, p99, clients, tolerance)
    with ExitStack() as held:
        aside = held.enter_context(scratch())
        archive = build.up_to_date(project, chosen)
        archive = archive or build.build(project, chosen, store=aside, say=say).path
        asked = asked or questions.of_archive(archive, parameters or {}, accept)
        own = held.enter_context(made_project(project))
        variants = Variants(archive, own.model_store, own.root / "unpacked")
        search = _Search(own, variants, asked, goal, precision)
        with interrupts.raised():
            ended = search.run(say)
    return search.report(model, chosen.version, ended)


def _version(project: Project, model: str, wanted: str | None) -> str:
    known = rooms.weight_names(project, model)
    chosen = wanted or rooms.default_version(project, model) or max(known, key=version_order)
    if chosen not in known:
        raise MarqueeError(f"{model} has no version '{chosen}'; it has {', '.join(known)}")
    return chosen


@dataclass
class _Search:
    """The search on a server, and what it has found when it ends."""

    own: Project
    variants: Variants
    asked: Sequence[Question]
    goal: Goal
    precision: bool
    trials: list[Trial] = field(default_factory=list)
    best: int = 0
    within_target: bool = False
    seconds: float = 0.0

    def run(self, say: Say) -> str:
        """Search until nothing is better, the budget is used or a signal comes; say which."""
        began = time.monotonic()
        say("starting a server, and loading the setting as it is ...")
        try:
            with running(self.own) as server:
                until = began + self.goal.budget
                loader = Loader(server, self.variants, self.asked, until)
                trials = begin(loader, setting_of(self.variants.config), self.goal, say)
                return self._climbed(trials)
        finally:
            self.seconds = time.monotonic() - began

    def _climbed(self, trials: Trials) -> str:
        trials.measure_start()
        try:
            climb(trials.trials[0].setting, self._space(trials.holder), trials.better)
        except BudgetUsed:
            return "the budget is used up"
        except interrupts.Interrupted:
            return INTERRUPTED
        finally:
            self.trials, self.best = trials.trials, trials.trials.index(trials.best)
            self.within_target = trials.within_target()
        return "no other setting is better"

    def _space(self, holder: Loaded) -> Space:
        precisions = (ON_GPU if holder.on_gpu else ON_CPU) if self.precision else ()
        others = tuple(one for one in precisions if one != holder.setting.precision)
        return Space(cores(), _most_workers(holder), self.goal.clients, others)

    def report(self, model: str, version: str, ended: str) -> TuningReport:
        """Return all that was tried."""
        return TuningReport(
            model=model,
            version=version,
            questions=tuple(one.name for one in self.asked),
            target=self.goal.target,
            cores=cores(),
            trials=tuple(self.trials),
            best=self.best,
            within_target=self.within_target,
            seconds=self.seconds,
            ended=ended,
            interrupted=ended == INTERRUPTED,
            changes=changes(self.trials[0].setting, self.trials[self.best].setting),
        )


def cores() -> int:
    """Return the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _most_workers(holder: Loaded) -> int:
    """Return how many workers there are cores for, and memory beside those that are there."""
    each = holder.memory / max(1, len(holder.model.workers))
    room = int(MEMORY_SHARE * psutil.virtual_memory().available / each) if each else cores()
    return max(1, min(cores(), room))


def write_best(project: Project, report: TuningReport) -> TuningReport:
    """Write what the best setting has otherwise into the room's model-config.yaml.

    Nothing is written after an interruption, or where no setting keeps the target.

    Returns:
        The report, with what was written.

    Raises:
        MarqueeError: the file cannot be edited; it is as it was.
    """
    if report.interrupted or not report.within_target or not report.changes:
        return report
    path = project.handlers / report.model / rooms.CONFIG_NAME
    return replace(report, written=configfile.write(path, report.version, report.changes))
