"""TorchServe's management API, as far as it is used here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx

from marquee.errors import MarqueeError
from marquee.torchserve.connection import Connection

READY = "READY"
# TorchServe lists 100 models a page unless told otherwise.
PAGE = 1000
# That an answer may take.
SECONDS = 30


@dataclass(frozen=True)
class Version:
    """One version of one model, as a running server describes it.

    Attributes:
        name, version: which.
        min_workers: how many workers are wanted.
        batch_size: requests in a batch, at the most.
        max_batch_delay: milliseconds that a batch waits to fill.
        response_timeout: seconds until a worker that does not answer is killed.
        pending: requests that wait; those in a worker's hands are not among them.
        queue: room for requests that wait.
        archive: the archive's file name or address, as it was registered.
        workers: TorchServe's description of each: ``id``, ``startTime``, ``status``,
            ``memoryUsage`` (bytes), ``pid``, ``gpu``, ``gpuUsage``; a Ray server's also ``node``.
        drains: whether a worker that is taken away first answers all that it holds. TorchServe's
            do not; that, and the next, is told by a Ray server alone.
        failure: why a worker cannot load; empty where none has failed, and of TorchServe, whose
            logs tell.
    """

    name: str
    version: str
    min_workers: int
    batch_size: int
    max_batch_delay: int
    response_timeout: int
    pending: int
    queue: int
    archive: str
    workers: tuple[Mapping[str, Any], ...]
    drains: bool = False
    failure: str = ""

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Version:
        """Read TorchServe's JSON."""
        queue = described.get("jobQueueStatus", {})
        pending = int(queue.get("pendingRequests", 0))
        return cls(
            name=described["modelName"],
            version=described["modelVersion"],
            min_workers=int(described["minWorkers"]),
            batch_size=int(described["batchSize"]),
            max_batch_delay=int(described["maxBatchDelay"]),
            response_timeout=int(described["responseTimeout"]),
            pending=pending,
            queue=pending + int(queue.get("remainingCapacity", 0)),
            archive=str(described.get("modelUrl", "")),
            workers=tuple(described["workers"]),
            drains=bool(described.get("drains")),
            failure=str(described.get("failure", "")),
        )

    @property
    def ready(self) -> bool:
        """Whether all wanted workers have loaded; the server's own ping says so too early."""
        return self.loaded >= max(1, self.min_workers)

    @property
    def loaded(self) -> int:
        """How many workers have loaded."""
        return sum(worker["status"] == READY for worker in self.workers)


class Management(Connection):
    """A connection to the management address of a running server.

    Every method raises :class:`MarqueeError` with TorchServe's own words when it refuses, and
    when no server answers.
    """

    kind = "management"

    def answers(self) -> bool:
        """Whether the server takes requests at all."""
        try:
            return self._request("GET", "/models").status_code == 200
        except MarqueeError:
            return False

    def models(self) -> list[str]:
        """Return the names of all registered models."""
        answer = self._wanted("GET", f"/models?limit={PAGE}", "cannot list the models")
        return sorted(model["modelName"] for model in answer.json()["models"])

    def versions(self, name: str) -> list[Version]:
        """Return all registered versions of a model; none if the server does not have it."""
        return self._described(f"/models/{name}/all", name)

    def describe(self, name: str, version: str) -> Version | None:
        """Return a version's state, or None if the server does not have it."""
        return next(iter(self._described(f"/models/{name}/{version}", name)), None)

    def description(self, name: str, version: str) -> Mapping[str, Any]:
        """Return what a version's handler says of itself; nothing where it does not say it as JSON.

        One of its workers is asked, after the requests that wait.
        """
        answer = self._request("GET", f"/models/{name}/{version}?customized=true")
        try:
            said = answer.json()[0]["customizedMetadata"]
            said = json.loads(said) if isinstance(said, str) else said
        except (ValueError, LookupError, TypeError):
            return {}
        return said if isinstance(said, dict) else {}

    def known(self, name: str, version: str | None = None) -> Version:
        """Return the state of a version, by default of the one that answers when none is named.

        Raises:
            MarqueeError: the server does not have it, and what it has.
        """
        for found in self._described(f"/models/{name}" + (f"/{version}" if version else ""), name):
            return found
        versions = ", ".join(sorted(one.version for one in self.versions(name)))
        if versions:
            raise MarqueeError(f"the server has no {name} '{version}'; it has: {versions}")
        models = ", ".join(self.models()) or "none"
        raise MarqueeError(
            f"the server has no model '{name}'; it has: {models}; add it: marquee register ARCHIVE"
        )

    def default(self, name: str) -> str | None:
        """Return the version that answers when none is named, or None without such a model."""
        versions = self._described(f"/models/{name}", name)
        return versions[0].version if versions else None

    def register(self, archive: str, name: str | None = None) -> None:
        """Register an archive of the model store (or an allowed URL) and start its workers.

        Returns before they have loaded: waiting would hold up other connections.

        Args:
            name: of the model, if not the one that its manifest says.
        """
        query = {"url": archive, "synchronous": "false"}
        query |= {} if name is None else {"model_name": name}
        self._wanted("POST", f"/models?{urlencode(query)}", f"cannot register {archive}")

    def unregister(self, name: str, version: str) -> None:
        """Remove a version; one that the server does not have is fine.

        Never under traffic: what its workers hold and what waits for them would be lost.
        """
        answer = self._request("DELETE", f"/models/{name}/{version}")
        if answer.status_code not in (200, 404):
            raise self._refused(f"cannot remove {name} {version}", answer)

    def scale(self, name: str, version: str, workers: int) -> None:
        """Set the number of workers of a version; returns before new ones have loaded.

        Fewer workers: what those that end hold is lost, so drain first.
        """
        query = urlencode({"min_worker": workers, "max_worker": workers})
        self._wanted("PUT", f"/models/{name}/{version}?{query}", f"cannot scale {name} {version}")

    def set_default(self, name: str, version: str) -> None:
        """Make ``version`` the one that answers when a request names none."""
        self._wanted(
            "PUT",
            f"/models/{name}/{version}/set-default",
            f"cannot make {version} the default version of {name}",
        )

    def _described(self, path: str, name: str) -> list[Version]:
        answer = self._request("GET", path)
        if answer.status_code == 404:
            return []
        if answer.status_code != 200:
            raise self._refused(f"cannot describe {name}", answer)
        return [Version.of(described) for described in answer.json()]

    def _wanted(self, method: str, path: str, failure: str) -> httpx.Response:
        answer = self._request(method, path)
        if answer.status_code not in (200, 202):
            raise self._refused(failure, answer)
        return answer

    def _refused(self, what: str, answer: httpx.Response) -> MarqueeError:
        return MarqueeError(f"{self.address} {what}: {_message(answer)}")

    def _request(self, method: str, path: str) -> httpx.Response:
        # A model is registered once: the first request may have been heard.
        ask = partial(self.send, method, path, timeout=SECONDS, again=method != "POST")
        try:
            try:
                return ask()
            except httpx.ReadTimeout:
                # While models load on a busy machine; a question may be asked again.
                if method != "GET":
                    raise
                return ask()
        except httpx.TransportError as error:
            advice = "start it: make serve" if self._socket is None else "its own log says why"
            raise MarqueeError(
                f"no server answers at {self.address} ({error}); {advice}"
            ) from error


def _message(answer: httpx.Response) -> str:
    """Return TorchServe's words without the JSON around them."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code} {answer.text.strip()}".strip()
