"""Forms made of declared parameters, and what of them is sent."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from handlers.runtime.parameters import Parameter, parse_parameters
from marquee.studio import fields
from tests.marquee.openapi.said import ROOMS

THRESHOLD = Parameter("threshold", float, 50 / 255, "from which on", minimum=0, maximum=1).schema()
SIZE = Parameter("size", int, 256, "how large", minimum=0, maximum=8192, unit="pixels").schema()
COUNT = Parameter("count", int, 0, "which of them", minimum=0).schema()
AGES = Parameter("ages", int, (25, 35), "ages", minimum=0, maximum=100, many=True).schema()
SWITCH = Parameter("align", bool, True, "whether").schema()
CHOICE = Parameter("method", str, "a", "how", choices=("a", "b")).schema()
OPEN = Parameter("target", str, None, "what", choices=("cat", "dog")).schema()


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (THRESHOLD, gr.Slider),
        (SIZE, gr.Slider),
        (COUNT, gr.Number),
        (AGES, gr.Textbox),
        (SWITCH, gr.Checkbox),
        (CHOICE, gr.Dropdown),
        (OPEN, gr.Dropdown),
    ],
)
def test_a_field_fits_its_parameter_and_begins_at_the_default(
    schema: dict[str, Any], kind: type
) -> None:
    made = fields.component("name", schema, "form")
    assert isinstance(made, kind)
    assert fields.text_of(made.value, schema) is None


def test_a_field_tells_text_range_and_unit() -> None:
    size: Any = fields.component("size", SIZE, "form")
    ages: Any = fields.component("ages", AGES, "form")
    assert (size.label, size.info) == ("size (pixels)", "how large; 0 to 8192")
    assert ages.info == "ages; 0 to 100, with commas between, up to 16"


@pytest.mark.parametrize(
    ("value", "schema", "text"),
    [
        (0.3, THRESHOLD, "0.3"),
        (0.19607843, THRESHOLD, None),  # as a browser rounds it
        (512, SIZE, "512"),
        (256.0, SIZE, None),
        ("25,35", AGES, None),
        (" 40, 50 ", AGES, "40,50"),
        (False, SWITCH, "false"),
        ("b", CHOICE, "b"),
        ("", OPEN, None),
        ("cat", OPEN, "cat"),
        (None, COUNT, None),
    ],
)
def test_what_differs_from_its_default_is_sent_as_text(
    value: Any, schema: dict[str, Any], text: str | None
) -> None:
    assert fields.text_of(value, schema) == text


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [(SWITCH, "false", False), (AGES, "40", "40"), (SIZE, "512", 512), (THRESHOLD, "0.5", 0.5)],
)
def test_a_samples_headers_fill_the_form(schema: dict[str, Any], text: str, value: object) -> None:
    assert fields.filled(schema, text) == value
    assert fields.text_of(value, schema) == text


@pytest.mark.parametrize("room", ROOMS)
def test_a_form_as_it_is_made_asks_for_what_the_model_does_by_itself(room: str) -> None:
    for declared in (ROOMS[room].parameters, ROOMS[room].explain_parameters):
        schemas = {one.name: one.schema() for one in declared}
        made: dict[str, Any] = {
            name: fields.component(name, one, "") for name, one in schemas.items()
        }
        texts = fields.texts(schemas, {name: one.value for name, one in made.items()})
        assert texts == {}
        assert parse_parameters(declared, texts) == parse_parameters(declared, {})
