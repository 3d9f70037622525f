"""Both ways to read and write JSON, which must not differ in what they accept and give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from handlers.runtime import jsontext
from handlers.runtime.errors import BadRequest
from handlers.runtime.jsonbody import parse_json


@pytest.fixture(params=["orjson", "json"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "json":
        monkeypatch.setattr(jsontext, "fast", lambda: None)
    else:
        pytest.importorskip("orjson")
    yield


VALUES: list[Any] = [
    {"predictions": [[[[0.25]]]]},
    {"a": None, "b": [None, 1]},
    {"text": "null and \u00e9\u2028"},
    [2**70, -1, 1e300, True],
    {1: "keys become text"},
    [],
]


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("value", VALUES, ids=str)
def test_prints_what_the_standard_library_reads_back(value: Any) -> None:
    assert json.loads(jsontext.dumps(value)) == json.loads(json.dumps(value))


@pytest.mark.usefixtures("_either")
def test_arrays_are_nested_lists() -> None:
    array = np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    for form in (array, array.transpose(3, 1, 0, 2), array.astype(np.float16), np.float32(0.5)):
        text = jsontext.dumps({"predictions": form})
        assert np.array_equal(np.asarray(json.loads(text)["predictions"], form.dtype), form)


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_refused_wherever_it_hides(bad: float) -> None:
    for value in (bad, [1, [bad]], {"a": np.array([1, bad])}, {"a": np.array([bad], np.float32)}):
        with pytest.raises(ValueError, match="JSON"):
            jsontext.dumps(value)


@pytest.mark.usefixtures("_either")
def test_what_is_no_json_value_is_refused() -> None:
    with pytest.raises(TypeError):
        jsontext.dumps({"a": object()})


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[1, NaN]", "holds NaN"),
        (b"[-Infinity]", "holds -Infinity"),
        (b'{"a": 1,}', "line 1 column"),
        (b"[1] [2]", "Extra data"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 200_000, "deep"),
        (b"1" * 5000, "not valid JSON"),
    ],
)
def test_errors_are_the_same_in_both_ways(body: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        parse_json(body)


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(
    "text", [b"[" * 900 + b"]" * 900, b'"\\ud800"', b" [1.5e3, -0.0] ", b'{"a":1,"a":2}', b"null"]
)
def test_reads_what_the_standard_library_reads(text: bytes) -> None:
    assert parse_json(text) == json.loads(text)
