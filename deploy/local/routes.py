"""Which request of the REST API goes to which function, as its OpenAPI text says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

INTEGRATION = "x-amazon-apigateway-integration"
RESPONSES = "x-amazon-apigateway-gateway-responses"
BINARY = "x-amazon-apigateway-binary-media-types"
_FUNCTION = re.compile(r"functions/(?P<arn>arn:[^/]+)/invocations$")
_RESPONSE_HEADER = "method.response.header."
_GATEWAY_HEADER = "gatewayresponse.header."


@dataclass(frozen=True)
class Route:
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

    def match(self, path: str) -> dict[str, str] | None:
        """Return the path's parameters, or None if it is another's."""
        pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(self.resource))
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
        found = re.fullmatch(pattern, path)
        return (
            {name: unquote(value) for name, value in found.groupdict().items()} if found else None
        )


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
    routes: tuple[Route, ...]
    binary: tuple[str, ...] = ()
    refusals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rate: float = 0
    burst: int = 0

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a request with its path's parameters; exact paths win."""
        for route in sorted(self.routes, key=lambda route: route.resource.count("{")):
            parameters = route.match(path) if route.method in (method, "ANY") else None
            if parameters is not None:
                return route, parameters
        return None


def routes(body: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the routes of an OpenAPI text whose references are resolved."""
    return tuple(
        _route(resource, method, described)
        for resource, methods in body["paths"].items()
        for method, described in methods.items()
        if INTEGRATION in described
    )


def _route(resource: str, method: str, described: Mapping[str, Any]) -> Route:
    integration = described[INTEGRATION]
    name = "ANY" if "any" in method else method.upper()
    if found := _FUNCTION.search(str(integration.get("uri", ""))):
        needs_key = any("api_key" in one for one in described.get("security", []))
        return Route(resource, name, found["arn"], needs_key=needs_key)
    fixed = integration.get("responses", {}).get("default", {}).get("responseParameters", {})
    return Route(resource, name, headers=_literals(fixed, _RESPONSE_HEADER))


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
