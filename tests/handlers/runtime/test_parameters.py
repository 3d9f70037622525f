import pytest

from handlers.runtime.errors import BadRequest
from handlers.runtime.parameters import Parameter, parse_parameters

COUNT = Parameter("count", int, default=3, minimum=1, maximum=10, unit="boxes", text="how many")
RATIO = Parameter("ratio", float, default=0.5, minimum=0, text="a ratio")
FLAG = Parameter("flag", bool, default=False, text="a switch")
WORD = Parameter("word", str, default="red", choices=("red", "green"), text="a colour")
PLACE = Parameter("place", str, default=None, choices=("first", "1"), text="a name or an index")
AGES = Parameter("ages", int, default=(25, 35), many=True, minimum=0, maximum=100, text="ages")
ALL = (COUNT, RATIO, FLAG, WORD, AGES)


def nested(depth: int) -> object:
    """Return a value too deep for whatever goes through it by recursion."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_defaults_fill_in() -> None:
    expected = {"count": 3, "ratio": 0.5, "flag": False, "word": "red", "ages": (25, 35)}
    assert parse_parameters(ALL, {}) == expected


@pytest.mark.parametrize(
    ("parameter", "raw", "value"),
    [
        (COUNT, "7", 7),
        (COUNT, " 7 ", 7),
        (COUNT, 7.0, 7),
        (RATIO, "1e-2", 0.01),
        (RATIO, 2, 2.0),
        (FLAG, "true", True),
        (FLAG, "OFF", False),
        (FLAG, True, True),
        (WORD, "green", "green"),
        (PLACE, 1, "1"),
        (AGES, "20, 30", (20, 30)),
        (AGES, [20], (20,)),
    ],
)
def test_text_and_json_values_are_understood(
    parameter: Parameter, raw: object, value: object
) -> None:
    assert parameter.parse(raw) == value


@pytest.mark.parametrize(
    ("parameter", "raw", "expected"),
    [
        (COUNT, "7.5", "integer from 1 to 10 boxes"),
        (COUNT, 7.5, "integer from 1 to 10 boxes"),
        (COUNT, "0", "integer from 1 to 10 boxes"),
        (COUNT, True, "integer"),
        (COUNT, None, "integer"),
        (COUNT, [1], "integer"),
        (COUNT, {"a": 1}, "is a JSON object, expected integer"),
        (COUNT, nested(5000), "is a JSON list, expected integer"),
        (AGES, [nested(5000)], "is a JSON list, expected up to 16"),
        (COUNT, "9" * 5000, "integer"),
        (RATIO, "nan", "number of at least 0"),
        (RATIO, float("inf"), "number of at least 0"),
        (RATIO, "-1", "number of at least 0"),
        (FLAG, "maybe", "boolean"),
        (FLAG, 2, "boolean"),
        (WORD, "blue", "one of red, green"),
        (WORD, 3, "one of red, green"),
        (PLACE, True, "one of first, 1"),
        (PLACE, 1.0, "one of first, 1"),
        (AGES, "", "up to 16 values"),
        (AGES, [], "up to 16 values"),
        (AGES, 20, "up to 16 values"),
        (AGES, [20, 101], "from 0 to 100"),
        (AGES, ",".join("1" * 17), "up to 16 values"),
    ],
)
def test_a_refusal_names_the_parameter_and_what_was_expected(
    parameter: Parameter, raw: object, expected: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        parameter.parse(raw)
    assert f"'{parameter.name}'" in refused.value.message
    assert expected in refused.value.message
    assert len(refused.value.message) < 300


def test_an_unknown_parameter_is_told_the_known_ones() -> None:
    with pytest.raises(BadRequest, match=r"unknown parameter 'counts'.*count, flag"):
        parse_parameters((COUNT, FLAG), {"counts": 1})


def test_the_schema_says_what_is_checked() -> None:
    assert COUNT.schema() == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "default": 3,
        "description": "how many",
        "x-unit": "boxes",
    }
    assert WORD.schema()["enum"] == ["red", "green"]
    assert AGES.schema()["items"] == {"type": "integer", "minimum": 0, "maximum": 100}


@pytest.mark.parametrize(
    "raw", [10**400, -(10**400), "9" * 400, "9" * 5000, 1e400, "1e400", "-inf"]
)
@pytest.mark.parametrize("kind", [int, float])
def test_numbers_beyond_all_bounds(kind: type, raw: object) -> None:
    free = Parameter("n", kind, default=1, minimum=0, maximum=9, text="a number")
    with pytest.raises(BadRequest, match=r"'n' is .*expected (integer|number) from 0 to 9"):
        parse_parameters([free], {"n": raw})
