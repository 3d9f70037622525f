"""What a line of TorchServe's access log tells: which model was asked, and how that went."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

_REQUEST = re.compile(r'"\S+ (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3}) (?P<milliseconds>\d+)$')
# The ways to ask a model at TorchServe's inference address, the plainest first.
_ROUTES = tuple(
    re.compile(route)
    for route in (
        r"/(?:predictions|explanations)/(?P<model>[^/]+)(?:/(?P<version>[^/]+)(?:/.*)?)?",
        r"/models/(?P<model>[^/]+)/invoke",
        r"/v1/models/(?P<model>[^/]+):predict",
        r"/v2/models/(?P<model>[^/]+)/infer",
        r"/(?P<model>[^/]+)(?:/(?P<version>[^/]+))?/predict",
    )
)
_INVOCATIONS = "/invocations"


@dataclass(frozen=True)
class Access:
    """A request of the access log; its line is written when it has been answered.

    Attributes:
        path, query: what was asked for.
        status: of the answer.
        milliseconds: that it took.
    """

    path: str
    query: str
    status: int
    milliseconds: int

    @property
    def explains(self) -> bool:
        """Whether an explanation was asked for, which takes its own time."""
        return self.path.startswith("/explanations/")

    def model(self) -> tuple[str, str | None] | None:
        """Return the model and the version that are named; None where no model is asked.

        ``/invocations`` need not name one (then it is ``""``): TorchServe answers for the only
        model it was started with, and with 400 if there are several.
        """
        if self.path == _INVOCATIONS:
            named = dict(parse_qsl(self.query))
            if "model_name" not in named and self.status == 400:
                return None
            return named.get("model_name", ""), named.get("model_version")
        for route in _ROUTES:
            if found := route.fullmatch(self.path):
                return found["model"], found.groupdict().get("version")
        return None


def access(line: str) -> Access | None:
    """Read a line of the access log, with its time or without; None of any other line."""
    found = _REQUEST.search(line)
    if found is None:
        return None
    path, _, query = found["target"].partition("?")
    return Access(path.rstrip("/"), query, int(found["status"]), int(found["milliseconds"]))
