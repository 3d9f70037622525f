"""A model's declared parameters as a form, and what is filled in as the text of headers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import gradio as gr

Schema: TypeAlias = Mapping[str, Any]
# A slider's steps; finer ones cannot be hit.
STEPS = 1000
# Whole numbers over more than this are typed.
WIDEST = 10_000


def component(name: str, schema: Schema, key: str) -> gr.components.Component:
    """Return a field for a parameter, filled in with its default.

    Args:
        key: of the form; a field with the same one keeps its value when it is made anew.
    """
    value = schema.get("default")
    unit = schema.get("x-unit", "")
    label = f"{name} ({unit})" if unit and len(unit) < 20 else name
    about: dict[str, Any] = {"label": label, "info": _info(schema), "interactive": True}
    about["key"] = f"{key} {name}"
    kind = schema.get("type")
    if kind == "boolean":
        return gr.Checkbox(value=bool(value), **about)
    if "enum" in schema:
        choices = [str(one) for one in schema["enum"]]
        if schema.get("default") is None:
            choices = ["", *choices]
        return gr.Dropdown(choices, value="" if value is None else str(value), **about)
    if kind in ("integer", "number"):
        return _number(value, schema, about)
    if isinstance(value, (list, tuple)):
        value = ", ".join(_plain(one) for one in value)
    return gr.Textbox(value="" if value is None else str(value), max_lines=1, **about)


def _number(value: Any, schema: Schema, about: dict[str, Any]) -> gr.components.Component:
    low, high = schema.get("minimum"), schema.get("maximum")
    whole = schema["type"] == "integer"
    if low is None or high is None or value is None or (whole and high - low > WIDEST):
        about |= {"minimum": low, "maximum": high}
        return gr.Number(value=value, precision=0 if whole else None, **about)
    step = 1 if whole else 10.0 ** math.floor(math.log10((high - low) / STEPS) + 0.5)
    return gr.Slider(low, high, value=value, step=step, **about)


def _info(schema: Schema) -> str:
    text = str(schema.get("description", ""))
    one = schema.get("items", schema)
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        text += f"; {_plain(low)} to {_plain(high)}"
    elif low is not None or high is not None:
        text += f"; at least {_plain(low)}" if high is None else f"; at most {_plain(high)}"
    if "items" in schema:
        text += ", with commas between"
        text += f", up to {schema['maxItems']}" if "maxItems" in schema else ""
    unit = schema.get("x-unit", "")
    return (f"{text} ({unit})" if len(unit) >= 20 else text).strip("; ")


def texts(schemas: Mapping[str, Schema], values: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that are to be sent: those that differ from their defaults, as text."""
    found = {name: text_of(values[name], schema) for name, schema in schemas.items()}
    return {name: text for name, text in found.items() if text is not None}


def text_of(value: Any, schema: Schema) -> str | None:
    """Return a field's value as the text of a header; None for the default, or nothing at all."""
    default = schema.get("default")
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if "items" in schema:
        text = ",".join(part.strip() for part in str(value).split(","))
        usual = ",".join(_plain(one) for one in default or ())
        return None if text == usual else text
    if isinstance(default, (int, float)) and _same(value, default):
        return None
    text = _plain(value)
    return None if default is not None and text == _plain(default) else text


def _same(value: Any, default: float) -> bool:
    # A slider rounds to its steps, what was declared to none.
    return isinstance(value, (int, float)) and math.isclose(value, default, abs_tol=1e-6)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def filled(schema: Schema, text: str) -> Any:
    """Return what a field holds for the text of a header, such as that of an archive's example."""
    kind = schema.get("type")
    if kind == "boolean":
        return text.strip().lower() in ("true", "1", "yes", "on")
    if kind in ("integer", "number"):
        return float(text) if kind == "number" else int(text)
    return text
