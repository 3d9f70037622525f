"""What the door answers by itself: TorchServe's shape, headers and words."""

from __future__ import annotations

import json

from marquee.front.refusals import REFUSALS

# As TorchServe sends them with every answer.
HEADERS = {
    "pragma": "no-cache",
    "cache-control": "no-cache; no-store, must-revalidate, private",
    "expires": "Thu, 01 Jan 1970 00:00:00 UTC",
}
RETRY_SECONDS = {503: "2"}


class Refused(Exception):
    """A request that gets an error of the door's.

    Args:
        status, kind: HTTP's number, and TorchServe's name for it.
        message: for the client.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self._shape = {"code": status, "type": kind, "message": message}

    def body(self) -> bytes:
        """Return the JSON answer, as TorchServe prints it."""
        return json.dumps(self._shape, indent=2).encode() + b"\n"

    def headers(self) -> dict[str, str]:
        """Return the answer's headers."""
        retry = RETRY_SECONDS.get(self.status)
        found = {"content-type": "application/json"} | HEADERS
        return found | ({"retry-after": retry} if retry else {})


def like_front(name: str) -> Refused:
    """Return one of the front door's refusals."""
    refusal = REFUSALS[name]
    return Refused(refusal.status, refusal.type, refusal.message)


def unknown_model(name: str) -> Refused:
    """Return TorchServe's refusal of a model that it does not have."""
    return Refused(404, "ModelNotFoundException", f"Model not found: {name}")


def unknown_version(name: str, version: str) -> Refused:
    """Return TorchServe's refusal of a version that a model does not have."""
    return Refused(
        404,
        "ModelVersionNotFoundException",
        f"Model version: {version} does not exist for model: {name}",
    )


def no_worker(name: str, version: str) -> Refused:
    """Return the refusal of a version that is registered and has no workers."""
    return Refused(
        503,
        "ServiceUnavailableException",
        f'Model "{name}" Version {version} has no worker to serve inference request; give it '
        f"some: marquee scale {name} {version} 1",
    )


def queue_full(name: str, version: str, queue: int) -> Refused:
    """Return the refusal of a request for which the queue has no room."""
    return Refused(
        503,
        "ServiceUnavailableException",
        f'Model "{name}" Version {version} has {queue} requests waiting already; try again, or '
        "raise jobQueueSize or maxWorkers in its model-config.yaml",
    )
