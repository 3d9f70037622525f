"""One change of the serving version: its steps, and the way back."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from marquee.archives import trust
from marquee.archives.golden import requests_of
from marquee.errors import MarqueeError
from marquee.interrupts import ignored, until
from marquee.project import Project
from marquee.torchserve.inference import Inference
from marquee.torchserve.loads import LogMarks, wait_loaded
from marquee.torchserve.management import Management, Version
from marquee.versions import canaries, history, journal, recovery
from marquee.versions.canaries import Canary
from marquee.versions.candidate import Candidate
from marquee.versions.history import Record, Steps
from marquee.versions.journal import Plan
from marquee.versions.judgement import SwapPolicy, worse_than_before
from marquee.versions.probe import Probe, RepeatedAsker, check, compare, have_answers
from marquee.versions.traffic import AccessLog, RequestStats

# How often the two versions are compared before the new one is called too slow.
COMPARISONS = 2
# Between two looks at a version that is watched.
POLL_SECONDS = 0.5
# A queue that fills so far will be full soon, and then requests are refused.
QUEUE_SHARE = 0.5


class ChangeFailed(MarqueeError):
    """A change that went back to what was before.

    Attributes:
        record: what the history got.
    """

    def __init__(self, message: str, record: Record) -> None:
        super().__init__(message)
        self.record = record


@dataclass
class Change:
    """From the version ``old``, the present default, to the candidate.

    Attributes:
        policy: what the new version must stand.
        action: ``swap``, ``rollback`` or a canary's promotion, for the history.
        canary: the new version as one, if it is.
    """

    project: Project
    api: Management
    candidate: Candidate
    old: Version
    policy: SwapPolicy
    steps: Steps
    action: str
    canary: Canary | None = None

    def __post_init__(self) -> None:
        """Look at what there is; nothing is changed yet."""
        old, new = self.old, self.candidate.version
        if new == old.version:
            raise MarqueeError(f"{old.name} {new} is the version that serves already")
        self._requests = requests_of(self.candidate.archive)
        self._results: Record = {}
        registered = self.api.describe(old.name, new)
        if registered is None or self._is_stale(registered):
            trust.admit(self.project, self.candidate.archive)
        self._plan = Plan(
            model=old.name,
            old=old.version,
            new=new,
            old_workers=old.min_workers,
            new_workers=registered.min_workers if registered else 0,
            archive=self.candidate.archive.name,
            copied=self.candidate.copied,
            canary=self.canary is not None,
            keep=self.policy.keep,
            action=self.action,
        )

    def run(self) -> Record:
        """Go all the way, or back."""
        journal.save(self.project, self._plan)
        before = AccessLog(self.project, self._plan.model)
        try:
            self._load()
            self._check()
            self._compare()
            switched = self._switch()
            self._watch(before.stats(), switched)
            self._commit()
        except (MarqueeError, KeyboardInterrupt, OSError) as error:
            self._back(error)
            raise AssertionError("going back raises") from error
        return self._retire(switched)

    def _load(self) -> None:
        model, new = self._plan.model, self._plan.new
        with self.steps.step("load") as step:
            since = LogMarks.now(self.project)
            wanted = max(1, self._plan.old_workers)
            described = self.api.describe(model, new)
            if described is None or self._is_stale(described):
                self._register(described)
            elif described.min_workers == 0:
                self.api.scale(model, new, wanted)
            loaded = self._wait_loaded(since)
            if loaded.min_workers < wanted:
                self.api.scale(model, new, wanted)
                loaded = self._wait_loaded(since)
            step["said"] = f"{model} {new} has {loaded.loaded} worker(s) ready"

    def _is_stale(self, described: Version) -> bool:
        """Whether a version without workers is what a failed swap left, maybe of other bytes."""
        records = history.read(self.project, described.name)
        last = next((one for one in records[::-1] if one.get("to") == described.version), None)
        if last is None or described.min_workers > 0:
            return False
        return last.get("registered", False) and last.get("outcome") != history.DONE

    def _register(self, stale: Version | None) -> None:
        self._plan.registered = True
        journal.save(self.project, self._plan)
        if stale is not None:
            self.api.unregister(stale.name, stale.version)
        self.api.register(self.candidate.archive.name)

    def _wait_loaded(self, since: LogMarks) -> Version:
        model, new, seconds = self._plan.model, self._plan.new, self.policy.load_seconds
        return wait_loaded(self.project, self.api, model, new, since=since, seconds=seconds)

    def _check(self) -> None:
        model, new, seconds = self._plan.model, self._plan.new, self.policy.answer_seconds
        with self.steps.step("check") as step:
            step["said"] = check(self.project, model, new, self._requests, seconds)
            self._results["golden"] = len(self._requests)

    def _compare(self) -> None:
        plan, most = self._plan, self.policy.max_slowdown
        with self.steps.step("compare") as step, Inference.of(self.project) as inference:
            probe = Probe(inference, plan.model, self.policy.answer_seconds)
            # Once more where the new one seems too slow: other work may have hit it.
            for _ in range(COMPARISONS):
                latency = compare(probe, self._requests, plan.old, plan.new)
                problem = latency.problem(most)
                if problem is None:
                    break
            self._results["latency_ms"] = {"old": latency.old_ms, "new": latency.new_ms}
            if problem is not None:
                raise MarqueeError(f"{plan.model} {plan.new} is too slow: {problem}")
            step["said"] = (
                f"{latency.new_ms:.1f} ms, {plan.old} takes {latency.old_ms:.1f} ms"
                if latency.new_ms is not None and latency.old_ms is not None
                else "nothing to compare"
            )

    def _switch(self) -> AccessLog:
        """Move the default; return what the access log tells from just before on."""
        canary = self.canary
        split = nullcontext() if canary is None else canaries.promoted(self.project, canary)
        with self.steps.step("switch") as step, split:
            log = AccessLog(self.project, self._plan.model)
            self._plan.moved = True
            journal.save(self.project, self._plan)
            self.api.set_default(self._plan.model, self._plan.new)
            step["said"] = f"{self._plan.model} is {self._plan.new} now"
        return log

    def _watch(self, before: RequestStats, after: AccessLog) -> None:
        """Watch the new default: its clients, its queue, and answers that are known."""
        plan, seconds = self._plan, self.policy.answer_seconds
        asker = RepeatedAsker(self.project, plan.model, self._requests, seconds)
        with self.steps.step("watch") as step:
            asker.start()
            try:
                problem = until(
                    lambda: self._problem(before, after.stats()) or asker.problem,
                    self.policy.watch_seconds,
                    POLL_SECONDS,
                )
            finally:
                asker.stop()
                stats = after.stats()
                self._results["traffic"] = {"before": before.summary(), "after": stats.summary()}
            if problem is not None:
                raise MarqueeError(f"{plan.model} {plan.new} does worse: {problem}")
            refused = f", {stats.refused} refused for what they sent" if stats.refused else ""
            step["said"] = f"{stats.requests} requests, {stats.failed} failed{refused}"

    def _problem(self, before: RequestStats, after: RequestStats) -> str | None:
        """Return in what the new default does worse than the old version, or None."""
        proven = have_answers(self._requests)
        problem = worse_than_before(before, after, self.policy, proven=proven)
        now = self.api.describe(self._plan.model, self._plan.new)
        if problem is not None or now is None:
            return problem
        if now.pending <= max(QUEUE_SHARE * now.queue, 2 * self.old.pending):
            return None
        return (
            f"it is too slow: {now.pending} requests wait in its queue of {now.queue}, for "
            f"the old version waited {self.old.pending}"
        )

    def _commit(self) -> None:
        self._plan.committed = True
        journal.save(self.project, self._plan)

    def _retire(self, log: AccessLog) -> Record:
        """Let the old version go; whatever happens here, the new one stays."""
        plan = self._plan
        try:
            with self.steps.step("retire") as step:
                left = recovery.finish(self.project, self.api, plan, log)
                step["said"] = left or f"{plan.old} is drained and has no workers any more"
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
            self._results["stopped_at"] = step
            record = self._record(outcome, reason)
        raise ChangeFailed(f"{reason}; stopped at '{step}', {end}", record) from error

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

    def _record(self, outcome: str, reason: str) -> Record:
        about: Record = {"archive": self._plan.archive, "digest": self.candidate.digest}
        if self.canary is not None:
            about["share"] = self.canary.share
        record: Record = {**self._plan.record(outcome, reason), **about, **self._results}
        return history.append(self.project, {**record, "steps": self.steps.done})
