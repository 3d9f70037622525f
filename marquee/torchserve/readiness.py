"""Whether every configured model is ready: its workers are, and it answers its own example."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from marquee.errors import MarqueeError
from marquee.front import running
from marquee.project import Project
from marquee.torchserve.management import Management, Version, keys_of
from marquee.torchserve.server import defaults
from marquee.torchserve.watch import Ask, Example, Timing, Watch, example_of

POLL_SECONDS = 0.1
# A question is waited for as long as the model says; this bounds the connection itself.
CONNECT_SECONDS = 5
# In the address of every question of ours, so that the access log tells it from a client's.
# TorchServe drops the query of /predictions, and the front door lets this one through to it.
OWN_MARK = "asked_by=marquee"

ModelId = tuple[str, str]
# When a version last answered somebody with success, on the clock of time.monotonic.
Lively = Callable[[str, str], float | None]


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
    """Watches the versions of a running server, and asks each its own example now and then.

    Args:
        api: the management address.
        ask: sends an example to a version and returns what was wrong with the answer, or None.
        store: the model store, where the archives with the examples are.
        timing: how often and how patiently.
        lively: when a version last answered somebody else.
    """

    def __init__(
        self,
        api: Management,
        ask: Ask,
        store: Path,
        timing: Timing,
        lively: Lively = lambda _name, _version: None,
    ) -> None:
        self._api = api
        self._ask = ask
        self._store = store
        self._timing = timing
        self._lively = lively
        self._watches: dict[ModelId, Watch] = {}

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
        found = self._api.describe(name, version)
        if found is None:
            return "is not registered"
        watch = self._watches.get((name, version))
        if watch is None:
            try:
                watch = Watch(self._asker(found), self._timing)
            except MarqueeError as error:
                return str(error)  # one damaged archive says nothing of the others
            self._watches[name, version] = watch
        return watch.look(found, self._lively(name, version))

    @property
    def asking(self) -> bool:
        """Whether a model has still to answer its example."""
        return any(watch.asking for watch in self._watches.values())

    def _asker(self, version: Version) -> Callable[[], str | None] | None:
        example = example_of(self._store / Path(version.archive).name)
        return None if example is None else lambda: self._ask(version, example)


def asker(client: httpx.Client, key: Callable[[], str | None]) -> Ask:
    """Return how to send an example over HTTP.

    Args:
        client: a client of the inference address.
        key: gives the token to send, or None where none is wanted.
    """

    def ask(version: Version, example: Example) -> str | None:
        token = key()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        seconds = version.response_timeout + CONNECT_SECONDS
        try:
            answer = client.post(
                f"/predictions/{version.name}/{version.version}?{OWN_MARK}",
                content=example.body,
                headers=headers | dict(example.headers),
                timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            )
        except httpx.HTTPError as error:
            return f"did not answer its example ({type(error).__name__})"
        # 422 is an answer too: the model works, and says no to this very input.
        if answer.status_code in (200, 422):
            return None
        return f"answered its example with {answer.status_code}: {answer.text.strip()[:300]}"

    return ask


def ready(project: Project) -> Readiness:
    """Ask the running server: the front door for what it knows, or else every model now.

    Returns:
        For each model with an archive in the model store (behind a front door: for each
        registered one), its default version's readiness.

    Raises:
        MarqueeError: no server answers.
    """
    front = running(project)
    if front is not None:
        return _told(front.ping()["models"])
    keys = keys_of(project)
    address = project.properties["inference_address"]
    with Management.of(project) as api, httpx.Client(base_url=address, trust_env=False) as client:
        ask = asker(client, lambda: None if keys is None else keys.get("inference"))
        return _settled(Prober(api, ask, project.model_store, Timing()), defaults(project), api)


def _told(models: Mapping[str, Mapping[str, Any]]) -> Readiness:
    """Read what ``/ping`` says; see :class:`marquee.serving.keeper.Keeper`."""
    return Readiness({(n, str(one["version"])): one.get("why") for n, one in models.items()})


def _settled(prober: Prober, wanted: Mapping[str, str], api: Management) -> Readiness:
    """Wait until every model has answered, or has not for as long as it may take."""
    current = {name: api.default(name) or version for name, version in wanted.items()}
    if not current:
        raise MarqueeError("the model store holds nothing that can be served: make archive")
    deadline = time.monotonic() + Timing().patience
    prober.check(current)
    while prober.asking and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        prober.check(current)
    return prober.check(current)  # an answer may have come since the last look
