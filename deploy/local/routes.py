"""Which request of the REST API goes to which function, as its OpenAPI text says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

INTEGRATION = "x-amazon-apigateway-integration"
RESPONSES = "x-amazon-apigateway-gateway-responses"
BINARY = "x-amazon-apigateway-binary-media-types"
ANY = "ANY"
_FUNCTION = re.compile(r"functions/(?P<arn>arn:[^/]+)/invocations$")
_PARAMETER = re.compile(r"\{(?P<name>\w+)(?P<greedy>\+?)\}")
_RESPONSE_HEADER = "method.response.header."
_GATEWAY_HEADER = "gatewayresponse.header."


@dataclass(frozen=True, eq=False)  # werkzeug keeps its rules by what they lead to
class ApiRoute:
    """One method of one path.

    Attributes:
        resource: the path with its parameters in braces.
        function: ARN of the function that answers, or nothing for a fixed answer.
        headers: of the fixed answer.
        needs_key: whether an API key must come with the request.
    """

    resource: str
    method: str
    function: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = False

    def rule(self, stage: str) -> Rule:
        """Return it as werkzeug's: ``{id}`` is ``<id>``, ``{proxy+}`` is ``<path:proxy>``."""

        def converted(parameter: re.Match[str]) -> str:
            return f"<{'path:' if parameter['greedy'] else ''}{parameter['name']}>"

        path = _PARAMETER.sub(converted, self.resource)
        rule = Rule(f"/{stage}{path}", endpoint=self)
        # Not by the constructor, which would have HEAD answered by GET: the gateway does not.
        rule.methods = None if self.method == ANY else {self.method}
        return rule


@dataclass(frozen=True)
class Api:
    """A deployed REST API.

    Attributes:
        stage: the first part of every path.
        binary: content types whose bodies reach functions as base64.
        refusals: headers of the gateway's own answers, by ``DEFAULT_4XX`` and ``DEFAULT_5XX``.
        rate, burst: requests a second, and at once, before it answers 429; 0 for no limit.
    """

    api_id: str
    stage: str
    routes: tuple[ApiRoute, ...]
    binary: tuple[str, ...] = ()
    refusals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rate: float = 0
    burst: int = 0

    @cached_property
    def _map(self) -> Map:
        # Of one path's methods, one that is named wins over ANY.
        ordered = sorted(self.routes, key=lambda route: route.method == ANY)
        rules = [route.rule(self.stage) for route in ordered]
        return Map(rules, strict_slashes=False, merge_slashes=False)

    def find(self, method: str, path: str) -> tuple[ApiRoute, dict[str, str]] | None:
        """Return the route of a request with its path's parameters.

        An exact path wins over a parameter, and that over a greedy one.
        """
        try:
            route, parameters = self._map.bind("").match(path, method)
        except HTTPException:
            return None
        return route, dict(parameters)


def deployed(api_id: str, body: Mapping[str, Any], stage_props: Mapping[str, Any]) -> Api:
    """Return what the gateway is to answer, from the resolved properties of API and stage."""
    settings: dict[str, Any] = next(iter(stage_props.get("MethodSettings", [])), {})
    return Api(
        api_id=api_id,
        stage=stage_props["StageName"],
        routes=routes(body),
        binary=tuple(body.get(BINARY, [])),
        refusals=refusals(body),
        rate=float(settings.get("ThrottlingRateLimit", 0)),
        burst=int(settings.get("ThrottlingBurstLimit", 0)),
    )


def routes(body: Mapping[str, Any]) -> tuple[ApiRoute, ...]:
    """Return the routes of an OpenAPI text whose references are resolved."""
    return tuple(
        _route(resource, method, described)
        for resource, methods in body["paths"].items()
        for method, described in methods.items()
        if INTEGRATION in described
    )


def _route(resource: str, method: str, described: Mapping[str, Any]) -> ApiRoute:
    integration = described[INTEGRATION]
    name = ANY if "any" in method else method.upper()
    if function := _FUNCTION.search(str(integration.get("uri", ""))):
        needs_key = any("api_key" in one for one in described.get("security", []))
        return ApiRoute(resource, name, function["arn"], needs_key=needs_key)
    fixed = integration.get("responses", {}).get("default", {}).get("responseParameters", {})
    return ApiRoute(resource, name, headers=_literals(fixed, _RESPONSE_HEADER))


def refusals(body: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """Return the headers of the gateway's own answers."""
    return {
        kind: _literals(described.get("responseParameters", {}), _GATEWAY_HEADER)
        for kind, described in body.get(RESPONSES, {}).items()
    }


def _literals(parameters: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return headers whose values are literals, which stand in single quotes."""
    return {
        name.removeprefix(prefix): str(value).strip("'")
        for name, value in parameters.items()
        if name.startswith(prefix)
    }
