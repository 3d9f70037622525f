"""Which versions a Ray server has, how many workers each is to have, and which is the default.

Whatever changes goes through here to :mod:`marquee.ray.application`, one change at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from marquee import state
from marquee.errors import MarqueeError
from marquee.interrupts import until
from marquee.project import Project
from marquee.ray import application
from marquee.ray.spec import Route, VersionSpec, VersionState, spec_of
from marquee.torchserve import loaded, loads, tracebacks
from marquee.torchserve.loaded import ModelId

# How many workers each version is to have, where that is not what its archive says.
STATE = "ray.json"
POLL_SECONDS = 0.2
# Stands above a traceback in a worker's log, where it is what ended a load.
DIED = "Backend worker process died."


class Refused(MarqueeError):
    """What the management address does not do; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Registry:
    """The models of a Ray server."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._changing = threading.RLock()
        self._routes: dict[str, Route] = {}

    def load(self, names: Collection[str], progress: Callable[[ModelId], None]) -> None:
        """Deploy what is in the model store, and return when all of it has its workers.

        A model that the cluster has already keeps the number of its workers: this server was
        killed, and its applications were not.

        Args:
            names: of the models that are wanted; empty for all.
            progress: called for each version that has its workers.

        Raises:
            MarqueeError: there is no such model, or one does not load, and why.
        """
        for name, versions in self._found(names).items():
            default = loaded.defaults(self._project)[name]
            self._deploy(name, Route(default, versions))
        for name, route in self._routes.items():
            for version, spec in route.versions.items():
                if spec.max_workers:
                    self.wait_loaded(name, version, spec.startup_timeout)
                    progress((name, version))

    def _found(self, names: Collection[str]) -> dict[str, dict[str, VersionSpec]]:
        found: dict[str, dict[str, VersionSpec]] = {}
        kept: Mapping[str, Any] = state.read(self._project.state / STATE)
        for (name, version), path in loaded.archives(self._project):
            if not names or name in names:
                spec = spec_of(self._project, path, name)
                found.setdefault(name, {})[version] = spec
        for name in set(names) - found.keys():
            raise MarqueeError(
                f"{self._project.model_store} has no archive of {name}; build it: marquee archive "
                f"{name}"
            )
        for name in kept.keys() & found.keys():
            if application.observe(name):
                found[name] = _with_workers(found[name], kept[name])
        return found

    def wait_loaded(self, name: str, version: str, seconds: float) -> None:
        """Return when a version has its workers.

        Raises:
            Refused: it does not load, and why; or it takes longer.
        """

        def ready() -> bool:
            state = self._state(name, version)
            failure = self.failure(state)
            if failure:
                raise Refused(500, str(loads.does_not_load(self._project, name, version, failure)))
            return state.ready >= max(1, state.spec.min_workers)

        if not until(ready, seconds, POLL_SECONDS):
            raise Refused(500, f"{name} {version} has not loaded after {seconds:.0f} s")

    def models(self) -> dict[str, str]:
        """Return the archive of each model's default version, by the models' names."""
        return {name: r.versions[r.default].archive for name, r in sorted(self._routes.items())}

    def route(self, name: str) -> Route:
        """Return a model's versions and its default.

        Raises:
            Refused: there is no such model.
        """
        if name not in self._routes:
            raise Refused(404, f"Model not found: {name}")
        return self._routes[name]

    def states(self, name: str) -> list[VersionState]:
        """Return all versions of a model as they are now; raises as :meth:`route`."""
        seen = {state.spec.version: state for state in application.observe(name)}
        return [
            replace(seen[version], spec=spec) if version in seen else VersionState(spec, (), 0)
            for version, spec in self.route(name).versions.items()
        ]

    def _state(self, name: str, version: str) -> VersionState:
        self.spec(name, version)
        return next(one for one in self.states(name) if one.spec.version == version)

    def spec(self, name: str, version: str) -> VersionSpec:
        """Return how a version is to be.

        Raises:
            Refused: there is no such version.
        """
        versions = self.route(name).versions
        if version not in versions:
            raise Refused(404, f"Model version: {version} does not exist for model: {name}")
        return versions[version]

    def failure(self, version: VersionState) -> str:
        """Return why a version lacks workers, in the words of what ended one; else nothing."""
        if version.ready >= max(1, version.spec.min_workers):
            return ""
        reason = next((one.reason for one in version.replicas if one.state == "failed"), "")
        lines = reason.strip().splitlines()
        if not lines:
            return ""
        cause = tracebacks.failure([DIED, *lines]) or lines[-1]
        spec = version.spec
        return cause + loads.hint(self._project, spec.name, spec.version, cause)

    def register(self, file: str, name: str = "") -> VersionSpec:
        """Add an archive of the model store; return before its workers have loaded.

        Raises:
            Refused: it is not in the store, or registered already.
            MarqueeError: it cannot be served.
        """
        path = self._project.model_store / file
        if "/" in file or not path.exists():
            raise Refused(404, f"'{file}' is no file of {self._project.model_store}")
        spec = spec_of(self._project, path, name)
        with self._changing:
            route = self._routes.get(spec.name) or Route(spec.version, {})
            if spec.version in route.versions:
                raise Refused(409, f"{spec.name} {spec.version} is already registered")
            self._deploy(spec.name, _with(route, spec))
        return spec

    def unregister(self, name: str, version: str | None = None) -> str:
        """Remove a version, the default one if none is named; return which.

        Raises:
            Refused: there is no such version, or it is the default, and there are others.
        """
        with self._changing:
            route = self.route(name)
            gone = self.spec(name, version or route.default).version
            left = {one: spec for one, spec in route.versions.items() if one != gone}
            if left and gone == route.default:
                raise Refused(403, f"{name} {gone} is the default; let another version be it first")
            if left:
                share = None if route.share and route.share[0] == gone else route.share
                self._deploy(name, replace(route, versions=left, share=share))
            else:
                application.remove(name)
                del self._routes[name]
                self._keep()
        return gone

    def scale(self, name: str, version: str | None, least: int, most: int) -> str:
        """Set how many workers a version has, by default the one that serves; return which."""
        with self._changing:
            route = self.route(name)
            spec = self.spec(name, version or route.default)
            self._deploy(name, _with(route, replace(spec, min_workers=least, max_workers=most)))
        return spec.version

    def set_default(self, name: str, version: str) -> None:
        """Make a version the one that answers where none is named."""
        with self._changing:
            self.spec(name, version)
            self._deploy(name, replace(self.route(name), default=version))

    def set_share(self, name: str, share: tuple[str, float] | None) -> None:
        """Give a version a share of the requests that name none; None: all to the default."""
        with self._changing:
            if share is not None:
                self.spec(name, share[0])
            if share != self.route(name).share:
                self._deploy(name, replace(self.route(name), share=share))

    def _deploy(self, name: str, route: Route) -> None:
        application.deploy(name, route.versions, route.default, route.share)
        self._routes[name] = route
        self._keep()

    def _keep(self) -> None:
        kept = {
            name: {one.version: [one.min_workers, one.max_workers] for one in r.versions.values()}
            for name, r in self._routes.items()
        }
        state.write(state.folder(self._project) / STATE, kept)


def _with(route: Route, spec: VersionSpec) -> Route:
    return replace(route, versions={**route.versions, spec.version: spec})


def _with_workers(
    versions: Mapping[str, VersionSpec], kept: Mapping[str, tuple[int, int]]
) -> dict[str, VersionSpec]:
    """Return versions with as many workers as they are known to have had."""
    return {
        version: replace(spec, min_workers=kept[version][0], max_workers=kept[version][1])
        if version in kept
        else spec
        for version, spec in versions.items()
    }
