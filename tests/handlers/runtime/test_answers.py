"""What is declared of answers fits what is answered, and nothing else."""

from typing import Any

import fastjsonschema
import pytest

from handlers.runtime.answers import (
    Schema,
    choice,
    file_text,
    listed,
    named,
    nested,
    nullable,
    number,
    one_or_list,
    record,
    whole,
    words,
)

ONE = record(label=choice(("cat", "dog")), score=number(0, 1))
GOOD = {"label": "cat", "score": 1}


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    [
        (ONE, GOOD, {"label": "cat"}),
        (ONE, GOOD, {**GOOD, "more": 1}),
        (ONE, GOOD, {**GOOD, "score": 1.5}),
        (ONE, GOOD, {**GOOD, "label": "bird"}),
        (one_or_list(ONE), {"predictions": [GOOD]}, {"predictions": GOOD}),
        (named(whole(0)), {"cat": 0}, {"cat": -1}),
        (nested(2, number()), [[1.5]], [1.5]),
        (listed(words(), least=2, most=2), ["a", "b"], ["a"]),
        (nullable(number()), None, "1"),
        (file_text("image/jpeg"), "/9j/", 1),
    ],
)
def test_a_declaration_fits_what_it_says_alone(schema: Schema, fits: Any, does_not: Any) -> None:
    holds = fastjsonschema.compile(dict(schema), use_default=False)
    holds(fits)
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        holds(does_not)


def test_a_text_is_a_description() -> None:
    assert nested(3, whole(0, 255), "pixels")["description"] == "pixels"
    assert "description" not in number()
