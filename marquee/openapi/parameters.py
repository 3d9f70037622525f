"""A model's parameters: as headers, in the query of a front door, and as fields of a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
LISTED = "^[^,]+(,[^,]+)*$"
Schemas = Mapping[str, Mapping[str, Any]]


def fields(parameters: Schemas) -> Document:
    """Return the parameters as properties of a JSON object."""
    return {name: field(schema) for name, schema in parameters.items()}


def field(schema: Mapping[str, Any]) -> Document:
    """Return one parameter's schema, with its unit in its text."""
    made = {key: value for key, value in schema.items() if key != "description"}
    if made.get("default", 0) is None:
        del made["default"]  # which is no value that could be sent
    unit = schema.get("x-unit")
    text = str(schema.get("description", ""))
    return made | {"description": f"{text} ({unit})" if unit else text}


def outside(parameters: Schemas, *, front: bool) -> list[Document]:
    """Return them as headers, and as a query where a front door makes headers of it."""
    ways = (_header, _query) if front else (_header,)
    return [way(name, schema) for way in ways for name, schema in parameters.items()]


def header_name(name: str) -> str:
    """Return the header of a parameter: ``X-Marquee-Top-K`` for ``top_k``."""
    return f"X-Marquee-{name.replace('_', '-').title()}"


def _header(name: str, schema: Mapping[str, Any]) -> Document:
    described = field(schema)
    text = described.pop("description")
    if "items" in described:
        # As text: what is made of documents has no lists in headers.
        described = {"type": "string", "pattern": LISTED}
        text = f"{text}; with commas between"
    return {
        "name": header_name(name),
        "in": "header",
        "description": f"{text}; a field of the body wins over it",
        "schema": described,
    }


def _query(name: str, schema: Mapping[str, Any]) -> Document:
    described = field(schema)
    text = described.pop("description")
    made: Document = {
        "name": name,
        "in": "query",
        "description": f"{text}; wins over the header, and a field of the body over both",
        "schema": described,
    }
    # A list is one value with commas.
    return made | ({"style": "form", "explode": False} if "items" in described else {})
