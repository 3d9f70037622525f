"""What a model's JSON looks like, declared in few words: JSON Schemas for ``answers``.

A handler writes ``answers = record(label=choice(CLASSES), score=number(0, 1))``. From it come the
OpenAPI document, and the check that every answer is so. The keywords used here mean the same in
JSON Schema's drafts 7 and 2020-12; a schema written by hand should keep to such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]


def record(**fields: Schema) -> Schema:
    """An object with exactly these fields."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def named(each: Schema, text: str = "") -> Schema:
    """An object with names that are not known beforehand, such as classes, and a value for each."""
    return _described({"type": "object", "additionalProperties": each}, text)


def listed(each: Schema, *, least: int | None = None, most: int | None = None) -> Schema:
    """A list of values of one kind, with bounds on its length."""
    bounds = {"minItems": least, "maxItems": most}
    given = {key: value for key, value in bounds.items() if value is not None}
    return {"type": "array", "items": each, **given}


def nested(depth: int, each: Schema, text: str = "") -> Schema:
    """An array of ``depth`` dimensions as nested lists."""
    for _ in range(depth):
        each = listed(each)
    return _described(each, text)


def number(low: float | None = None, high: float | None = None, text: str = "") -> Schema:
    """A number within inclusive bounds."""
    return _bounded("number", low, high, text)


def whole(low: int | None = None, high: int | None = None, text: str = "") -> Schema:
    """An integer within inclusive bounds."""
    return _bounded("integer", low, high, text)


def words(text: str = "") -> Schema:
    """A text."""
    return _described({"type": "string"}, text)


def choice(values: Sequence[str], text: str = "") -> Schema:
    """One of some texts."""
    return _described({"type": "string", "enum": list(values)}, text)


def file_text(media: str, text: str = "") -> Schema:
    """A file as base64 text."""
    return _described(
        {"type": "string", "contentEncoding": "base64", "contentMediaType": media}, text
    )


def nullable(one: Schema) -> Schema:
    """Such a value, or null."""
    return {"anyOf": [one, {"type": "null"}]}


def one_or_list(one: Schema) -> Schema:
    """An answer to one input; to those that came as a list, ``{"predictions": [...]}``."""
    return {"anyOf": [one, record(predictions=listed(one))]}


def _bounded(kind: str, low: float | None, high: float | None, text: str) -> Schema:
    bounds = {"minimum": low, "maximum": high}
    given = {key: value for key, value in bounds.items() if value is not None}
    return _described({"type": kind, **given}, text)


def _described(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text} if text else schema
