"""TorchServe's tokens: read them from its key file, renew them before they expire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx

from marquee.errors import MarqueeError
from marquee.interrupts import until

KINDS = ("inference", "management", "API")
# Renewed when less than this is left, so that a printed token is good for a while.
MARGIN = timedelta(minutes=5)
# How long half a file is read again before it counts as damaged.
WHOLE_SECONDS = 2.0


@dataclass(frozen=True)
class Keys:
    """The key file of a running server.

    Attributes:
        path: ``key_file.json``, mode 0600.
        management_address: where keys are renewed.
        lifetime: how long a fresh key lives; keys that live short are renewed at half time.
    """

    path: Path
    management_address: str
    lifetime: timedelta = timedelta(minutes=60)

    def get(self, kind: str) -> str:
        """Return a key of ``kind`` (inference, management or API) that is valid for a while.

        Raises:
            MarqueeError: no server runs, or it does not renew its keys.
        """
        left = self.left(self.entry(kind))
        if left is not None and left < min(MARGIN, self.lifetime / 2):
            self._renew(kind)
        return str(self.entry(kind)["key"])

    def entry(self, kind: str) -> dict[str, Any]:
        """Return a kind's ``key`` and, unless it lives for ever, its ``expiration time``.

        Raises:
            MarqueeError: no server runs, or the file is damaged.
        """
        # TorchServe writes the file in place: for a moment there is half of it.
        keys = until(self._read, WHOLE_SECONDS)
        if kind not in keys:
            raise MarqueeError(f"{self.path} is damaged; restart the server")
        entry: dict[str, Any] = keys[kind]
        return entry

    def _read(self) -> dict[str, Any]:
        try:
            keys = json.loads(self.path.read_text())
        except FileNotFoundError as error:
            raise MarqueeError(
                f"no server of this project runs with tokens (no {self.path}); start it: make serve"
            ) from error
        except ValueError:
            return {}
        return keys if isinstance(keys, dict) else {}

    @staticmethod
    def left(entry: dict[str, Any]) -> timedelta | None:
        """Return how long a key of the file is still valid; None for one that does not expire."""
        text = entry.get("expiration time")
        return None if text is None else moment(text) - datetime.now(timezone.utc)

    def _renew(self, kind: str) -> None:
        api_key = self.entry("API")["key"]
        url = f"{self.management_address}/token"
        try:
            answer = httpx.get(
                url,
                params={"type": kind},
                headers={"Authorization": f"Bearer {api_key}"},
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise MarqueeError(
                f"the token has expired and no server answers at {self.management_address} to "
                "renew it; start it: make serve"
            ) from error
        if answer.status_code != 200:
            raise MarqueeError(f"{url} did not renew the {kind} token: {answer.text.strip()}")


@dataclass(frozen=True)
class GivenKey:
    """A key that somebody gave, of a server whose key file is not at hand; nobody renews it."""

    key: str = field(repr=False)

    def get(self, kind: str) -> str:
        """Return it, whatever it is asked for."""
        return self.key


def moment(text: str) -> datetime:
    """Parse what Java's Instant prints: UTC, with a fraction that may be nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    microseconds = int(f"{fraction:0<6}"[:6])
    return datetime.fromisoformat(whole).replace(tzinfo=timezone.utc, microsecond=microseconds)
