"""Whether the models of a server are ready: their workers are, and they answer their examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from marquee.archives.golden import example_of
from marquee.errors import MarqueeError
from marquee.torchserve.health import Ask, Timing, VersionHealth
from marquee.torchserve.management import Management, Version

ModelId = tuple[str, str]
# When a version last answered somebody with success, on the clock of time.monotonic.
LastSuccess = Callable[[str, str], float | None]


@dataclass(frozen=True)
class Readiness:
    """Why each version is not ready; None where it is.

    Attributes:
        models: the reason by (name, version): the version of each model that answers when a
            request names none.
    """

    models: Mapping[ModelId, str | None]

    @property
    def ready(self) -> bool:
        """Whether all are, and there is at least one."""
        return bool(self.models) and not any(self.models.values())


class Prober:
    """Looks after the versions of a running server, and asks each its own example now and then.

    Args:
        api: the management address.
        ask: sends an example to a version and returns what was wrong with the answer, or None.
        store: the model store, where the archives with the examples are.
        timing: how often and how patiently.
        last_success: when a version last answered somebody else.
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
