"""What ``marquee serve --front`` does for canaries every second, watched by somebody or not."""

from __future__ import annotations

from collections.abc import Mapping

from marquee.front.process import running
from marquee.front.traffic import Summary, Traffic
from marquee.project import Project
from marquee.torchserve.readiness import Prober
from marquee.versions.canaries import Canary, load, locked
from marquee.versions.canary import verdict, withdraw


class Watcher:
    """Watches the canaries of a project, and withdraws one that is worse than it may be."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, Canary] = {}
        self._proven: set[tuple[str, str]] = set()

    def look(self, prober: Prober, traffic: Traffic) -> Mapping[str, tuple[Summary, Summary]]:
        """Look at all canaries once; return both sides' figures by model."""
        canaries = load(self._project)
        self._forget_others(canaries, traffic)
        sides = {}
        for model, found in canaries.items():
            default, own = traffic.summary(model), traffic.summary(model, found.version)
            sides[model] = default, own
            why = self._unready(prober, found) or verdict(default, own, found.limits)
            if why is not None:
                self._withdraw(found, why)
        return sides

    def _forget_others(self, canaries: Mapping[str, Canary], traffic: Traffic) -> None:
        for model, found in canaries.items():
            before = self._known.get(model)
            if before is None or before.since != found.since:
                traffic.reset(model)
                self._proven.discard((model, found.version))
        self._known = dict(canaries)

    def _unready(self, prober: Prober, found: Canary) -> str | None:
        """Return why a canary that was ready is not; gives one that is its share.

        Again and again: after a restart of the door, or of everything, it has none.
        """
        why = prober.look(found.model, found.version)
        if why is None:
            self._proven.add((found.model, found.version))
            self._assert_share(found)
            return None
        known = (found.model, found.version) in self._proven
        return why if known or why == "is not registered" else None

    def _assert_share(self, found: Canary) -> None:
        front = running(self._project)
        with locked(self._project) as canaries:
            now = canaries.get(found.model)
            if front is not None and now is not None and now.version == found.version:
                front.set_canary(now.model, now.version, now.share)

    def _withdraw(self, found: Canary, why: str) -> None:
        now = load(self._project).get(found.model)
        if now is not None and now.since == found.since:
            withdraw(self._project, found.model, why)
