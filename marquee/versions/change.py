"""One change of the serving version: its steps, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marquee.archives.example import requests_of
from marquee.errors import Failed, MarqueeError
from marquee.interrupts import ignored
from marquee.project import Project
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version
from marquee.versions import history, journal, recovery
from marquee.versions.candidate import Candidate
from marquee.versions.journal import Plan
from marquee.versions.judgement import Options
from marquee.versions.probe import Latency, Probe, compare, told
from marquee.versions.steps import Steps
from marquee.versions.traffic import AccessLog, Mark, Seen
from marquee.versions.watching import Watch

# How often the two versions are compared before the new one is called too slow.
COMPARISONS = 2


@dataclass
class Change:
    """From the version ``old`` to the one that is ``candidate``.

    Attributes:
        project, api: the server.
        candidate, old: the new version, and the present default.
        options: what the new version must stand.
        steps: where the steps are told.
        action: ``swap`` or ``rollback``, for the history.
    """

    project: Project
    api: Management
    candidate: Candidate
    old: Version
    options: Options
    steps: Steps
    action: str

    def __post_init__(self) -> None:
        """Look at what there is; nothing is changed yet."""
        old, new = self.old, self.candidate.version
        if new == old.version:
            raise MarqueeError(f"{old.name} {new} is the version that serves already")
        self._asked = requests_of(self.candidate.archive)
        self._log = AccessLog.of(self.project, old.name)
        self._results: dict[str, Any] = {}
        registered = self.api.describe(old.name, new)
        self._plan = Plan(
            model=old.name,
            old=old.version,
            new=new,
            old_workers=old.min_workers,
            new_workers=registered.min_workers if registered else 0,
            archive=self.candidate.archive.name,
            copied=self.candidate.copied,
            keep=self.options.keep,
            action=self.action,
        )

    def run(self) -> dict[str, Any]:
        """Go all the way, or back."""
        journal.save(self.project, self._plan)
        before = self._log.follow()
        try:
            self._load()
            self._check()
            self._compare()
            switched = self._switch()
            self._watch(before.seen(), switched)
            self._commit()
        except (MarqueeError, KeyboardInterrupt, OSError) as error:
            self._back(error)
            raise AssertionError("going back raises") from error
        return self._retire(switched)

    def _load(self) -> None:
        model, new = self._plan.model, self._plan.new
        with self.steps.step("load") as note:
            since = LogMarks.now(self.project)
            wanted = max(1, self._plan.old_workers)
            found = self.api.describe(model, new)
            if found is None or self._is_stale(found):
                self._register(found)
            elif found.min_workers == 0:
                self.api.scale(model, new, wanted)
            loaded = self._wait_loaded(since)
            if loaded.min_workers < wanted:
                self.api.scale(model, new, wanted)
                loaded = self._wait_loaded(since)
            note["said"] = f"{model} {new} has {loaded.loaded} worker(s) ready"

    def _is_stale(self, found: Version) -> bool:
        """Whether a version without workers is what a failed swap left, maybe of other bytes."""
        records = history.read(self.project, found.name)
        mine = [record for record in records if record.get("to") == found.version]
        last = mine[-1] if mine else {}
        failed = last.get("registered", False) and last.get("outcome") != history.DONE
        return failed and found.min_workers == 0

    def _register(self, stale: Version | None) -> None:
        self._plan.registered = True
        journal.save(self.project, self._plan)
        if stale is not None:
            self.api.unregister(stale.name, stale.version)
        self.api.register(self.candidate.archive.name)

    def _wait_loaded(self, since: LogMarks) -> Version:
        return wait_loaded(
            self.project,
            self.api,
            self._plan.model,
            self._plan.new,
            since=since,
            seconds=self.options.load_seconds,
        )

    def _probe(self) -> Probe:
        return Probe(self.project, self._plan.model, self.options.answer_seconds)

    def _check(self) -> None:
        with self.steps.step("check") as note, self._probe() as probe:
            for question in self._asked:
                probe.ask(question, self._plan.new)
            self._results["golden"] = len(self._asked)
            note["said"] = told(self._asked)

    def _compare(self) -> None:
        with self.steps.step("compare") as note, self._probe() as probe:
            latency, problem = self._timed(probe)
            self._results["latency_ms"] = {"old": latency.old_ms, "new": latency.new_ms}
            if problem is not None:
                raise MarqueeError(f"{self._plan.model} {self._plan.new} is too slow: {problem}")
            note["said"] = (
                f"{latency.new_ms:.1f} ms, {self._plan.old} takes {latency.old_ms:.1f} ms"
                if latency.new_ms is not None and latency.old_ms is not None
                else "nothing to compare"
            )

    def _timed(self, probe: Probe) -> tuple[Latency, str | None]:
        """Compare, and once more where the new one seems too slow: other work may have hit it."""
        limits = self.options.max_slowdown, self.options.slowdown_floor_ms
        latency = compare(probe, self._asked, self._plan.old, self._plan.new)
        for _ in range(COMPARISONS - 1):
            if latency.problem(*limits) is not None:
                latency = compare(probe, self._asked, self._plan.old, self._plan.new)
        return latency, latency.problem(*limits)

    def _switch(self) -> Mark:
        """Move the default; return a mark of the access log from just before."""
        with self.steps.step("switch") as note:
            mark = self._log.mark()
            self._plan.moved = True
            journal.save(self.project, self._plan)
            self.api.set_default(self._plan.model, self._plan.new)
            note["said"] = f"{self._plan.model} is {self._plan.new} now"
        return mark

    def _watch(self, before: Seen, mark: Mark) -> None:
        plan, after = self._plan, self._log.follow(mark)
        watch = Watch(
            self.api, plan.model, plan.new, self.options, self._asked, before, self.old.pending
        )
        with self.steps.step("watch") as note:
            try:
                seen = watch.run(after, self._probe)
            finally:
                summaries = {"before": before.summary(), "after": after.seen().summary()}
                self._results["traffic"] = summaries
            refused = f", {seen.refused} refused for what they sent" if seen.refused else ""
            note["said"] = f"{seen.requests} requests, {seen.failed} failed{refused}"

    def _commit(self) -> None:
        self._plan.committed = True
        journal.save(self.project, self._plan)

    def _retire(self, mark: Mark) -> dict[str, Any]:
        """Let the old version go; whatever happens here, the new one stays."""
        plan = self._plan
        try:
            with self.steps.step("retire") as note:
                left = recovery.finish(self.project, self.api, plan, since=mark)
                note["said"] = left or f"{plan.old} is drained and has no workers any more"
        except KeyboardInterrupt:
            left = f"interrupted: {plan.old} keeps its workers"
        with ignored():
            record = self._record(history.DONE, left or "")
            journal.forget(self.project, plan.model)
        return record

    def _back(self, error: BaseException) -> None:
        """Go back to the old version, write it down, and say where it stopped."""
        plan, step = self._plan, self.steps.current
        interrupted = isinstance(error, KeyboardInterrupt)
        reason = str(error) or "interrupted"
        with ignored():
            end = self._undo()
            outcome = "rolled back" if plan.moved else "interrupted" if interrupted else "refused"
            record = self._record(outcome, reason, stopped_at=step)
        raise Failed(f"{reason}; stopped at '{step}', {end}", record) from error

    def _undo(self) -> str:
        """Go back; return in words where that led."""
        plan = self._plan
        try:
            left = recovery.undo(self.project, self.api, plan)
        except MarqueeError as error:
            return (
                f"and going back failed as well: {error}; run the command again once the server "
                "answers"
            )
        journal.forget(self.project, plan.model)
        return f"{plan.model} {plan.old} serves as before" + (f". {left}" if left else "")

    def _record(self, outcome: str, reason: str, **more: Any) -> dict[str, Any]:
        plan = self._plan
        return history.append(
            self.project,
            {
                "model": plan.model,
                "action": plan.action,
                "from": plan.old,
                "from_workers": plan.old_workers,
                "to": plan.new,
                "archive": plan.archive,
                "digest": self.candidate.digest,
                "registered": plan.registered,
                "outcome": outcome,
                "reason": reason,
                **more,
                **self._results,
                "steps": self.steps.done,
            },
        )
