"""HTTP to one address of a running TorchServe, with its token."""

from __future__ import annotations

import socket as sockets
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar
from urllib.parse import urlsplit

import httpx

from marquee.project import Project
from marquee.torchserve.tokens import GivenKey, Keys

if TYPE_CHECKING:
    from typing_extensions import Self

# What breaks when TorchServe closes a connection after an error, at times under the next request.
CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
KNOCK_SECONDS = 2.0


def listens(url: str) -> bool:
    """Tell whether something takes connections at an address."""
    parts = urlsplit(url)
    try:
        sockets.create_connection((parts.hostname, parts.port or 80), KNOCK_SECONDS).close()
    except OSError:
        return False
    return True


class Connection:
    """A client of one address; several threads may use it.

    Args:
        keys: where the token is; None where tokens are off.
        socket: the Unix socket to go through, behind a front door.
        most: connections at a time.
    """

    # Whose token is sent, and of which property the address is: ``management`` or ``inference``.
    kind: ClassVar[str]

    def __init__(
        self,
        address: str,
        keys: Keys | GivenKey | None,
        socket: Path | None = None,
        most: int = 100,
    ) -> None:
        self.address = address
        self._keys, self._socket = keys, socket
        self._renewing = threading.Lock()
        limits = httpx.Limits(max_connections=most)
        uds = None if socket is None else str(socket)
        transport = httpx.HTTPTransport(uds=uds, limits=limits, trust_env=False)
        self._client = httpx.Client(
            auth=self._with_token, base_url=address, trust_env=False, transport=transport
        )

    @classmethod
    def of(cls, project: Project, most: int = 100) -> Self:
        """Return a connection to the project's server."""
        return cls(project.properties[f"{cls.kind}_address"], keys_of(project), most=most)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_token(self) -> bool:
        """Whether requests bear a token."""
        return self._keys is not None

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _with_token(self, request: httpx.Request) -> httpx.Request:
        if self._keys is not None:
            with self._renewing:  # a key renewed twice at once would be void for one of the two
                request.headers["Authorization"] = f"Bearer {self._keys.get(self.kind)}"
        return request

    def send(
        self,
        method: str,
        path: str,
        *,
        timeout: float | httpx.Timeout,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        again: bool = True,
    ) -> httpx.Response:
        """Send a request and return the answer, whatever its status.

        Args:
            again: whether a request may be sent twice where the server hung up on it.

        Raises:
            httpx.TransportError: there was no answer.
            MarqueeError: no token can be had.
        """
        once = partial(
            self._client.request, method, path, headers=headers, content=body, timeout=timeout
        )
        try:
            return once()
        except CLOSED:
            if not again:
                raise
            return once()

    def stream(
        self, path: str, body: BinaryIO, headers: Mapping[str, str], timeout: httpx.Timeout
    ) -> AbstractContextManager[httpx.Response]:
        """Post a body that is read as it goes; the answer is read in the ``with`` block.

        Raises:
            httpx.TransportError: there is no answer; the body is read, so nothing is sent again.
            MarqueeError: no token can be had.
        """
        return self._client.stream("POST", path, content=body, headers=headers, timeout=timeout)


def keys_of(project: Project) -> Keys | None:
    """Return the key file of the project's server, or None where tokens are turned off."""
    properties = project.properties
    if properties.get("disable_token_authorization", "false").lower() == "true":
        return None
    minutes = float(properties.get("token_expiration_min", "60"))
    return Keys(project.key_file, properties["management_address"], timedelta(minutes=minutes))
