"""Whether the models of a server are ready: their workers are, and they answer their examples."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives.golden import ExampleRequest, example_of
from marquee.errors import MarqueeError
from marquee.torchserve.loaded import ModelId
from marquee.torchserve.management import Management, Version

# A problem is looked at again sooner than a success.
RETRY_SECONDS = 2.0
# An example may take this share of a worker's time, and this many times its usual time.
SHARE = 0.05
PATIENCE = 5.0
UNASKED = "has not answered its own example yet"
Ask = Callable[[Version, ExampleRequest], "str | None"]
# When a version last answered somebody with success, on the clock of time.monotonic.
LastSuccess = Callable[[str, str], float | None]


@dataclass(frozen=True)
class Timing:
    """How often and how patiently models are asked.

    Attributes:
        interval: seconds between a proof that a model answers and the next question; longer
            for a model whose example takes long.
        patience: seconds after which an unanswered question makes a model unready; longer
            for a model that is known to take long.
    """

    interval: float = 30.0
    patience: float = 20.0


class VersionHealth:
    """What is known of one version.

    A proof is an answered example or, once there was one, an answer to anybody's request. New
    workers have proved nothing.

    Args:
        ask: sends the example, blocks, and returns what was wrong; None where the archive has
            no example and its workers must do.
    """

    def __init__(self, ask: Callable[[], str | None] | None, timing: Timing) -> None:
        self._ask = ask
        self._timing = timing
        self._lock = threading.Lock()
        self._workers: frozenset[tuple[object, object]] = frozenset()
        self._proved = -math.inf
        self._asked: float | None = None  # when the question that is out now was sent
        self._next = -math.inf
        self._took = 0.0
        self._problem: str | None = UNASKED

    @property
    def awaits_answer(self) -> bool:
        """Whether an answer is being waited for."""
        return self._asked is not None

    def look(self, version: Version, last_success: float | None) -> str | None:
        """Return why the version is not ready, or None; asks in the background when it is due.

        Args:
            version: as the server describes it now.
            last_success: when somebody's request was last answered, by ``time.monotonic``.
        """
        with self._lock:
            if not version.ready:
                self._forget(frozenset())
                return f"{version.loaded} of {max(1, version.min_workers)} workers are ready"
            workers = frozenset((w.get("id"), w.get("pid")) for w in version.workers)
            if workers != self._workers:
                self._forget(workers)
            self._note(last_success)
            if self._ask is None:
                return None
            if self._asked is None and time.monotonic() >= self._next:
                self._send(self._ask)
            return self._overdue() or self._problem

    def _forget(self, workers: frozenset[tuple[object, object]]) -> None:
        """Start anew with other workers; the answer to a question to the old ones is ignored."""
        self._workers = workers
        self._proved = self._next = -math.inf
        self._asked = None
        self._problem = UNASKED

    def _note(self, last_success: float | None) -> None:
        if last_success is not None and last_success > self._proved > -math.inf:
            self._proven(last_success)

    def _proven(self, moment: float) -> None:
        self._proved, self._problem = moment, None
        self._next = moment + max(self._timing.interval, self._took / SHARE)

    def _overdue(self) -> str | None:
        if self._asked is None or self._proved > self._asked:
            return None
        waited = time.monotonic() - self._asked
        if waited <= max(self._timing.patience, PATIENCE * self._took):
            return None
        return f"has not answered its own example for {waited:.0f} s"

    def _send(self, ask: Callable[[], str | None]) -> None:
        asked = self._asked = time.monotonic()

        def wait() -> None:
            try:
                problem = ask()
            except Exception as error:  # noqa: BLE001 - else nobody would ask ever again
                problem = f"could not be asked ({type(error).__name__}: {error})"
            with self._lock:
                if self._asked == asked:
                    self._answered(problem)

        # A thread of its own: a model that hangs must not hold up the others, nor the exit.
        threading.Thread(target=wait, name="example", daemon=True).start()

    def _answered(self, problem: str | None) -> None:
        now = time.monotonic()
        asked, self._asked = self._asked, None
        if problem is None and asked is not None:
            self._took = now - asked
            self._proven(now)
            return
        self._problem, self._next = problem, now + RETRY_SECONDS


@dataclass(frozen=True)
class Readiness:
    """Why the version of each model that answers when none is named is not ready, or None."""

    models: Mapping[ModelId, str | None]

    @property
    def ready(self) -> bool:
        """Whether all are, and there is at least one."""
        return bool(self.models) and not any(self.models.values())


class Prober:
    """Looks after the versions of a running server, and asks each its own example now and then.

    Args:
        ask: sends an example to a version and returns what was wrong with the answer, or None.
        store: the model store, where the archives with the examples are.
    """

    def __init__(
        self,
        api: Management,
        ask: Ask,
        store: Path,
        timing: Timing,
        last_success: LastSuccess = lambda _name, _version: None,
    ) -> None:
        self._api = api
        self._ask = ask
        self._store = store
        self._timing = timing
        self._last_success = last_success
        self._health: dict[ModelId, VersionHealth] = {}

    def check(self, wanted: Mapping[str, str] | None = None) -> Readiness:
        """Return what is known now of each model's default version; returns at once.

        Args:
            wanted: the versions to check by model; those that the server has as defaults.

        Raises:
            MarqueeError: no server answers.
        """
        if wanted is None:
            wanted = {name: self._api.default(name) or "" for name in self._api.models()}
        return Readiness({model: self.look(*model) for model in wanted.items()})

    def look(self, name: str, version: str) -> str | None:
        """Return why a version is not ready, or None if it is."""
        described = self._api.describe(name, version)
        if described is None:
            return "is not registered"
        health = self._health.get((name, version))
        if health is None:
            try:
                health = VersionHealth(self._question_to(described), self._timing)
            except MarqueeError as error:
                return str(error)  # one damaged archive says nothing of the others
            self._health[name, version] = health
        return health.look(described, self._last_success(name, version))

    @property
    def awaits_answer(self) -> bool:
        """Whether a model has still to answer its example."""
        return any(health.awaits_answer for health in self._health.values())

    def _question_to(self, version: Version) -> Callable[[], str | None] | None:
        example = example_of(self._store / Path(version.archive).name)
        return None if example is None else lambda: self._ask(version, example)
