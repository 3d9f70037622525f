import io
import tracemalloc
from typing import Any

import numpy as np
import pytest

from handlers.runtime.arrays import check_numeric, from_lists, read_npy, write_npy
from handlers.runtime.errors import BadRequest


@pytest.mark.parametrize("dtype", ["u1", ">i4", "<f8", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_round_trip(dtype: str, order: str) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)  # type: ignore[call-overload]
    stream = io.BytesIO()
    np.save(stream, array)
    assert np.array_equal(read_npy(stream.getvalue()), array)
    assert np.array_equal(read_npy(write_npy(array)), array)


def test_format_versions_two_and_three_are_read() -> None:
    for version in ((2, 0), (3, 0)):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.arange(5), version=version)
        assert np.array_equal(read_npy(stream.getvalue()), np.arange(5))


def header(text: str, body: bytes = b"") -> bytes:
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + body


def shaped(sides: str, body: bytes = b"") -> bytes:
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({sides},)}}", body)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no .npy"),
        (b"PK\x03\x04", "no .npy"),
        (b"\x93NUMPY", "header"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "header"),
        (header("{'descr': '|u1', 'shape': (1,)}"), "header"),
        (header("__import__('os').abort()"), "header"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (10**12,)}"), "header"),
        (
            header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,)}"),
            "promises",
        ),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (-4,)}", b"1234"), "negative"),
        (header("(" * 5000), "header"),
        (header("'''"), "header"),
        (shaped("0, 9223372036854775807, 9223372036854775807"), "no array has"),
        (shaped(", ".join(["9" * 2000] * 4)), "no array has"),
        (shaped("-" + "9" * 5000), "header"),
        (shaped(", ".join("1" * 65), b"x"), "no array has"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"12345678"), "pickled"),
        (write_npy(np.arange(9))[:-1], "promises"),
        (write_npy(np.arange(9)) + b"x", "promises"),
    ],
)
def test_lies_and_damage_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        read_npy(data)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([[1, 2], [3]], "ragged"),
        ([], "empty"),
        ([[], []], "empty"),
        ([True, False], "booleans"),
        (["1"], "text"),
        ([None], "null"),
        ([{"a": 1}], "objects"),
        ([1, "a"], "text"),
        ([10**400], r"mixed|ragged"),
        ([float("nan")], "NaN"),
    ],
)
def test_lists_that_are_no_numbers(value: list[object], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        from_lists(value)


def test_structured_arrays_are_no_numbers() -> None:
    with pytest.raises(BadRequest, match="numbers"):
        check_numeric(np.zeros(3, dtype=[("a", "i4")]))


def test_texts_among_lists_cost_no_more_than_they_are() -> None:
    """numpy would make room for the longest text in every place."""
    body = [["x" * 20_000, *[""] * 2000]]
    tracemalloc.start()
    with pytest.raises(BadRequest, match="found text"):
        from_lists(body)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "value", [[[1, 2], 3], [1, [2]], [[[1]], [[1, 2]]], [[[1], [2]], [[3]]], [[], [1]]]
)
def test_rows_of_different_lengths_are_ragged(value: list[object]) -> None:
    with pytest.raises(BadRequest, match="ragged"):
        from_lists(value)


def test_lists_are_what_numpy_makes_of_them() -> None:
    for value in ([[1, 2], [3, 4]], [[[0.5]], [[1]]], [2**40, 1], [[1.0, 2**63]], 7):
        made, expected = from_lists(value), np.asarray(value)
        assert made.dtype == expected.dtype
        assert np.array_equal(made, expected)


def test_depth_is_bounded() -> None:
    value: object = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(BadRequest, match="nested more than 32"):
        from_lists(value)


@pytest.mark.parametrize(
    "descr", ["|V0", "|V8", "<M8[s]", "<m8[s]", [("a", "<i4")], [("a", "|V0")]]
)
def test_npy_files_of_other_things_than_numbers(descr: Any) -> None:
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": (4,)}
    np.lib.format.write_array_header_1_0(stream, header)
    size = 4 * np.dtype(np.lib.format.descr_to_dtype(descr)).itemsize
    with pytest.raises(BadRequest, match="expected an array of numbers"):
        read_npy(stream.getvalue() + b"\0" * size)
