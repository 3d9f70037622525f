"""The whole document: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1) for one server."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from marquee.media import JSON
from marquee.openapi import bodies, failures
from marquee.openapi.operations import Schemas, paths
from marquee.openapi.served import Served

Document = dict[str, Any]
VERSION = "3.1.0"
ABOUT = (
    "One way for every model. In: a file as it is, base64 or numbers in JSON, or a form. Out: as "
    "Accept says. Parameters come as fields of a body, as X-Marquee-... headers{query}; numbers "
    "and switches may be written as text everywhere. A body has at most {bytes} bytes."
)
QUERY = ", or in the query"
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "The inference key, as 'marquee token' prints it, or the operator's own "
    "(api_key_file in config/front.yaml).",
}


def document(served: Served) -> Document:
    """Return the document, as JSON values."""
    schemas = Schemas({"Error": failures.ERROR})
    own = paths(served, schemas) | _general(served)
    components: Document = {
        "schemas": schemas.named,
        "responses": failures.components(front=served.front),
    }
    if served.secured:
        components["securitySchemes"] = {"key": BEARER}
    about = ABOUT.format(query=QUERY if served.front else "", bytes=served.max_request_size)
    return {
        "openapi": VERSION,
        "info": {"title": "marquee", "version": version("marquee"), "description": about},
        "servers": [{"url": served.address}],
        "security": [{"key": []}] if served.secured else [],
        "tags": [{"name": name, "description": _versions(served, name)} for name in served.models],
        "paths": own,
        "components": components,
    }


def _versions(served: Served, name: str) -> str:
    first, *others = [offer.version for offer in served.models[name]]
    return f"{name} {first}" + (f"; also {', '.join(others)}" if others else "")


def _general(served: Served) -> Document:
    """Return the paths that belong to no model."""
    made: Document = {"/ping": {"get": _ping(served)}}
    if served.front:
        made["/live"] = {"get": _live()}
        made["/openapi.json"] = {"get": _itself()}
        if served.models:
            made["/models/{model}/invoke"] = {"post": _invoke(served)}
    if served.models:
        made["/invocations"] = {"post": _invocations(served)}
    return made


def _ping(served: Served) -> Document:
    health = {
        "type": "object",
        "properties": {"status": {"type": "string"}, "models": {"type": "object"}},
        "required": ["status"],
    }
    content = {JSON: {"schema": health}}
    made: Document = {
        "operationId": "ping",
        "summary": "Whether all models answer" if served.front else "Whether the server runs",
        "responses": {
            "200": {"description": "They do.", "content": content},
            "503" if served.front else "500": {"description": "Not now.", "content": content},
        },
    }
    if served.front:
        return made | {"security": []}
    made["responses"]["400"] = {"$ref": f"#/components/responses/{failures.component(400)}"}
    return made


def _live() -> Document:
    schema = {"type": "object", "properties": {"status": {"const": "Alive"}}}
    return {
        "operationId": "live",
        "summary": "Whether the front door runs",
        "security": [],
        "responses": {
            "200": {"description": "It does.", "content": {JSON: {"schema": schema}}},
        },
    }


def _itself() -> Document:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {
            "200": {"description": "OpenAPI.", "content": {JSON: {"schema": {"type": "object"}}}},
            "400": {"$ref": f"#/components/responses/{failures.component(400)}"},
            "503": {"$ref": f"#/components/responses/{failures.component(503)}"},
        },
    }


def _invocations(served: Served) -> Document:
    """Return SageMaker's path. Which parameters there are, the model's own paths say."""
    given: list[Document] = [
        {
            "name": "model" if served.front else "model_name",
            "in": "query",
            "description": "who answers; a default model, or the only one, where it is left out",
            "schema": {"type": "string", "enum": [*served.models]},
        },
        {
            "name": "model_version",
            "in": "query",
            "description": "which version answers",
            "schema": {"type": "string"},
        },
    ]
    return _any("invocations", "Ask a model, as SageMaker does", given, served)


def _invoke(served: Served) -> Document:
    given = [
        {
            "name": "model",
            "in": "path",
            "required": True,
            "description": "who answers",
            "schema": {"type": "string", "enum": [*served.models]},
        }
    ]
    return _any("invoke", "Ask a model, as SageMaker's multi-model endpoints do", given, served)


def _any(name: str, summary: str, given: list[Document], served: Served) -> Document:
    answer = {"description": "as the model's own path", "content": {bodies.ANYTHING: {}}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": given,
        "requestBody": bodies.any_body(),
        "responses": {"200": answer} | failures.references(front=served.front),
    }
