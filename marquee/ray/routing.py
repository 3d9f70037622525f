"""Who is asked: from a request's address to a model, a version, and what else it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from marquee.front.refusals import REFUSALS
from marquee.ray.refusal import Refused, like_front, unknown_model, unknown_version
from marquee.ray.spec import Routes, VersionSpec

# As marquee/front/query.lua bounds them.
MOST, LONGEST = 64, 4096
OWN_MARK = "asked_by=marquee"
ROUTING = {"model": "model", "model_name": "model", "model_version": "version"}
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
# Steps of the golden ratio spread a share evenly, however few requests come.
SLOTS, STEP = 10_000, 6181
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PATHS = tuple(
    re.compile(path)
    for path in (
        r"/(?P<verb>predictions|explanations)/(?P<model>[^/]+)(?:/(?P<version>[^/]+)(?P<rest>/.*)?)?/?",
        r"/(?P<verb>invocations)/?",
        r"/models/(?P<model>[^/]+)/(?P<verb>invoke)",
        r"/v1/models/(?P<model>[^/]+):(?P<verb>predict)",
        r"/v2/models/(?P<model>[^/]+)/(?P<verb>infer)",
        r"/(?P<model>[^/]+)(?:/(?P<version>[^/]+))?/(?P<verb>predict)",
    )
)
_ATTRIBUTE = re.compile(r"(?:^|[,; ])model=([^,; ]+)")


@dataclass(frozen=True)
class Asked:
    """Whom a request asks.

    Attributes:
        model, version: whom; no version: the default, or a canary.
        verb: the first word of its address that says what for.
        headers: what the address says beside, for the handler.
        marked: whether it is one of marquee's own.
    """

    model: str
    version: str
    verb: str
    headers: Mapping[str, str] = field(default_factory=dict)
    marked: bool = False


def asked(path: str, query: str, headers: Mapping[str, str], routes: Routes) -> Asked:
    """Return whom a request asks.

    Raises:
        Refused: nobody that is here, or its address cannot be read.
    """
    found = next(filter(None, (pattern.fullmatch(path) for pattern in _PATHS)), None)
    if found is None:
        raise Refused(
            404,
            "ResourceNotFoundException",
            "Requested resource is not found, please refer to API document.",
        )
    groups = found.groupdict()
    named = {name: unquote(groups.get(name) or "") for name in ("model", "version")}
    further = dict(_query(query, named if groups["verb"] == "invocations" else {}))
    if groups["verb"] == "explanations":
        further["explain"] = "True"
    if groups.get("rest"):
        further["url_path"] = groups["rest"].lstrip("/")
    model = named["model"] or _unnamed(headers, routes)
    for name in (model, named["version"]):
        if name and not _NAME.fullmatch(name):
            raise like_front("odd_name")
    marked = OWN_MARK in query.split("&")
    return Asked(model, named["version"], groups["verb"], further, marked)


def _unnamed(headers: Mapping[str, str], routes: Routes) -> str:
    """Return who answers ``/invocations`` that name nobody in their address."""
    attribute = _ATTRIBUTE.search(headers.get(ATTRIBUTES, ""))
    sole = next(iter(routes.models)) if len(routes.models) == 1 else ""
    model = attribute[1] if attribute else routes.default_model or sole
    if not model:
        message = REFUSALS["no_model_named"].message.partition("; the models are: ")[0]
        raise Refused(
            400,
            "BadRequestException",
            f"{message}; the models are: {', '.join(sorted(routes.models)) or 'none'}",
        )
    return model


def _query(query: str, named: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a query's parameters as headers; those that name whom to ask are put into ``named``."""
    pairs = [pair for pair in query.split("&") if pair and pair != OWN_MARK]
    if len(pairs) > MOST:
        raise _bad(f"more than {MOST} query parameters; send them in the body")
    for pair in pairs:
        name, _, text = pair.partition("=")
        name, value = unquote(name.replace("+", " ")), unquote(text.replace("+", " "))
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise _bad("a query parameter's name must be letters, digits, - and _")
        if len(value) > LONGEST or not re.fullmatch(r"[ -~]*", value):
            raise _bad(
                f"query parameter '{name}' is no plain ASCII text of at most {LONGEST} bytes; "
                "send it in the body"
            )
        if name in ROUTING and named:
            named[ROUTING[name]] = value
        else:
            yield f"x-marquee-{name.replace('_', '-').lower()}", value


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequestException", message)


class Chooser:
    """Chooses the version that answers, and splits a canary's share off."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def choose(self, asked: Asked, routes: Routes) -> tuple[VersionSpec, str]:
        """Return the version that answers, and by which arm: pinned, default or canary.

        Raises:
            Refused: there is no such model or version.
        """
        route = routes.models.get(asked.model)
        if route is None:
            raise unknown_model(asked.model)
        arm = "pinned" if asked.version else "default"
        version = asked.version or route.default
        if not asked.version and route.share and asked.verb != "explanations":
            count = self._counts[asked.model] = self._counts.get(asked.model, 0) + 1
            if count * STEP % SLOTS < round(route.share[1] * SLOTS):
                arm, version = "canary", route.share[0]
        spec = route.versions.get(version)
        if spec is None:
            raise unknown_version(asked.model, version)
        return spec, arm
