"""What a body may be: a file, JSON with base64 or numbers, or a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marquee.media import JSON, OCTETS
from marquee.openapi.parameters import Schemas, fields

Document = dict[str, Any]
NPY = "application/x-npy"
MULTIPART = "multipart/form-data"
ANYTHING = "*/*"
# What handlers with image/* read, as docs/requests.md lists it.
IMAGES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "image/x-portable-pixmap",
    "image/avif",
)
# A file as it is. OpenAPI 3.1 would have it without a schema; generators know this older form.
FILE: Document = {"type": "string", "format": "binary"}
BASE64 = "the file as base64, or a data: URL; 'data', 'file' or 'body' for the name too"
PART = "the file; 'data', 'file' or 'body' for the name too"


def types(consumes: Iterable[str]) -> list[str]:
    """Return the media types of raw bodies; those of ``image/*`` by name."""
    found = [one for kind in consumes for one in (IMAGES if kind == "image/*" else (kind,))]
    return list(dict.fromkeys([*found, OCTETS]))


def body(said: Mapping[str, Any], parameters: Schemas) -> Document:
    """Return the request body of a handler that says what it reads."""
    raw = types(said["consumes"])
    content: Document = {kind: {"schema": FILE} for kind in raw}
    content[JSON] = {"schema": {"anyOf": [*_objects(said, parameters)]}}
    content[MULTIPART] = {
        "schema": _record({"image": FILE | {"description": PART}}, parameters),
        "encoding": {"image": {"contentType": ", ".join(raw)}},
    }
    return {"required": True, "content": content, "description": _limits(said)}


def any_body(consumes: Iterable[str] = ()) -> Document:
    """Return the request body of a handler that says little or nothing of what it reads."""
    kinds = [*consumes] or [ANYTHING, JSON, OCTETS]
    return {"content": {kind: {"schema": FILE if kind == OCTETS else {}} for kind in kinds}}


def _objects(said: Mapping[str, Any], parameters: Schemas) -> Iterable[Document]:
    text = {"type": "string", "contentEncoding": "base64", "format": "byte"}
    inputs: list[Document] = [text | {"description": BASE64}]
    if NPY in said["consumes"]:
        numbers = {"type": "array", "items": {}, "minItems": 1}
        inputs.append(numbers | {"description": "numbers as nested lists; bare ones are read too"})
    one: Document = inputs[0] if len(inputs) == 1 else {"anyOf": inputs}
    yield _record({"image": one}, parameters)
    yield _list(_record({"image": one}, {}), said, parameters)


def _list(item: Document, said: Mapping[str, Any], parameters: Schemas) -> Document:
    most = said.get("limits", {}).get("max_items")
    instances = {"type": "array", "items": item, "minItems": 1}
    instances |= {} if most is None else {"maxItems": most}
    shared = {
        "type": "object",
        "description": "for all inputs",
        "properties": fields(parameters),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"instances": instances, "parameters": shared},
        "required": ["instances"],
        "additionalProperties": False,
    }


def _record(payload: Document, parameters: Schemas) -> Document:
    """Return an object with an input, and parameters beside it."""
    return {
        "type": "object",
        "properties": payload | fields(parameters),
        "required": [*payload],
        "additionalProperties": False,
    }


def _limits(said: Mapping[str, Any]) -> str:
    limits = said.get("limits", {})
    pixels, items = limits.get("max_pixels"), limits.get("max_items")
    words = [f"pictures of at most {pixels} pixels"] if pixels else []
    words += [f"{items} inputs a request" if items != 1 else "one input a request"] if items else []
    kinds = ", ".join(said["consumes"])
    return f"A file ({kinds}), JSON, or a form; {', '.join(words)}." if words else f"{kinds}."
