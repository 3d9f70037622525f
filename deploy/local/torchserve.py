"""The real TorchServe behind the emulated endpoints."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from werkzeug.datastructures import Headers

from marquee.project import Project
from marquee.torchserve.connection import keys_of

# What SageMaker hands on to a container; it strips all else.
FORWARDED = (
    "Content-Type",
    "Accept",
    "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-Target-Model",
    "X-Amzn-SageMaker-Inference-Id",
)


@dataclass(frozen=True)
class Target:
    """What an endpoint's variant stands for: a model, and a version unless the default serves."""

    model: str
    version: str | None = None

    @classmethod
    def of(cls, text: str) -> Target:
        """Read ``model`` or ``model/version``."""
        model, _, version = text.partition("/")
        return cls(model, version or None)

    @property
    def path(self) -> str:
        """TorchServe's path of it."""
        return f"/predictions/{self.model}" + (f"/{self.version}" if self.version else "")


class TorchServe:
    """A client of the project's running server."""

    def __init__(self, project: Project) -> None:
        self._keys = keys_of(project)
        limits = httpx.Limits(max_connections=200)
        self._client = httpx.Client(
            base_url=project.properties["inference_address"], trust_env=False, limits=limits
        )

    def predict(
        self, target: Target, body: bytes, headers: Headers, seconds: float
    ) -> httpx.Response:
        """Send a request and return the answer, whatever its status.

        Raises:
            httpx.TimeoutException: there was none within ``seconds``.
            httpx.TransportError: nobody is there.
            MarqueeError: no token can be had.
        """
        known = {name: headers[name] for name in FORWARDED if name in headers}
        if self._keys is not None:
            known["Authorization"] = f"Bearer {self._keys.get('inference')}"
        # httpx would ask for */* by itself, which is what SageMaker does as well.
        return self._client.post(target.path, content=body, headers=known, timeout=seconds)

    def close(self) -> None:
        """Hang up."""
        self._client.close()
