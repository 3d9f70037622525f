"""Mixed traffic: each model's golden requests at a steady rate, every answer compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.load import Load
from marquee.archives import golden
from marquee.archives.golden import GoldenRequest
from marquee.tuning.connection import prepared
from tests.support import Running

# Requests a second: each model gets about as much of two cores.
RATES = {"cifar": 20.0, "inkwash": 0.2, "rotifer": 0.2, "smoke": 0.2, "timetravel": 0.02}


@dataclass
class GoldenLoad(Load):
    """Clients that send a model's golden requests, and know each version's answers to them.

    Attributes:
        goldens: ``MODEL/VERSION`` -> its golden requests, in the order of ``requests``.
    """

    goldens: Mapping[str, Sequence[GoldenRequest]] = field(default_factory=dict)

    def _wrong(self, version: str, index: int, body: bytes) -> str:
        if (version, index, body) in self._known:
            return ""
        if version not in self.goldens:
            return f"answered by '{version}'"
        asked = self.goldens[version][index]
        problem = asked.problem(200, asked.content_type, body)
        if problem is None:
            self._known.add((version, index, body))
        return problem or ""


def load_of(running: Running, model: str, versions: Sequence[str]) -> GoldenLoad:
    """Return clients for a model, with what its archives say is right."""
    address = urlsplit(running.inference)
    host, token = str(address.hostname), running.keys.get("inference")
    goldens = {
        f"{model}/{version}": [
            one
            for one in golden.read(running.project.model_store / f"{model}-{version}.mar")
            if one.status == 200
        ]
        for version in versions
    }
    asked = goldens[f"{model}/{versions[0]}"]
    path = f"/predictions/{model}"
    requests = [prepared(path, one.body, token, host, one.headers) for one in asked]
    return GoldenLoad(host, int(address.port or 80), requests, {}, goldens=goldens)
