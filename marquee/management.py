"""TorchServe's management API, as far as it is used here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.tokens import Keys

READY = "READY"


@dataclass(frozen=True)
class Version:
    """One version of one model, as a running server describes it."""

    name: str
    version: str
    min_workers: int
    workers: tuple[Mapping[str, Any], ...]

    @property
    def ready(self) -> bool:
        """Whether all wanted workers have loaded; the server's own ping says so too early."""
        loaded = sum(worker["status"] == READY for worker in self.workers)
        return bool(loaded >= max(1, self.min_workers))


class Management:
    """A connection to the management address of a running server."""

    def __init__(self, address: str, keys: Keys | None) -> None:
        self._address = address
        self._keys = keys
        self._client = httpx.Client(base_url=address, timeout=30, trust_env=False)

    def __enter__(self) -> Management:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def answers(self) -> bool:
        """Whether the server takes requests at all."""
        try:
            status: int = self._request("GET", "/models").status_code
        except (httpx.TransportError, MarqueeError):
            return False
        return status == 200

    def describe(self, name: str, version: str) -> Version | None:
        """Return a version's state, or None if the server does not have it."""
        answer = self._request("GET", f"/models/{name}/{version}")
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise MarqueeError(f"{self._address} cannot describe {name}: {answer.text.strip()}")
        found = answer.json()[0]
        return Version(name, version, int(found["minWorkers"]), tuple(found["workers"]))

    def set_default(self, name: str, version: str) -> None:
        """Make ``version`` the one that answers when a request names none."""
        answer = self._request("PUT", f"/models/{name}/{version}/set-default")
        if answer.status_code != 200:
            raise MarqueeError(
                f"cannot make {version} the default version of {name}: {answer.text.strip()}"
            )

    def _request(self, method: str, path: str) -> httpx.Response:
        headers = {}
        if self._keys is not None:
            headers["Authorization"] = f"Bearer {self._keys.get('management')}"
        return self._client.request(method, path, headers=headers)


def keys_of(project: Project) -> Keys | None:
    """Return the key file of the project's server, or None where tokens are turned off."""
    properties = project.properties
    if properties.get("disable_token_authorization", "false").lower() == "true":
        return None
    minutes = float(properties.get("token_expiration_min", "60"))
    return Keys(project.key_file, properties["management_address"], timedelta(minutes=minutes))
