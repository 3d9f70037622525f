import base64
from typing import Any

import numpy as np
import pytest

from handlers.runtime.arrays import Array, read_npy
from handlers.runtime.errors import BadRequest
from handlers.runtime.tensors import read_tensor


def tensor(datatype: str, shape: Any, data: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data}


def array(datatype: str, shape: Any, data: Any) -> Array:
    ((found, media),) = read_tensor(tensor(datatype, shape, data), "inputs[0]")
    assert media == "application/x-npy"
    return read_npy(found)


@pytest.mark.parametrize("data", [[0, 1, 2, 3, 4, 5], [[0, 1, 2], [3, 4, 5]]])
@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("UINT8", "u1"), ("INT64", "i8"), ("FP16", "f2"), ("FP32", "f4"), ("FP64", "f8")],
)
def test_numbers_flat_or_nested(datatype: str, dtype: str, data: list[Any]) -> None:
    found = array(datatype, [2, 3], data)
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, np.arange(6).reshape(2, 3))


def test_files_as_bytes() -> None:
    texts = [base64.b64encode(word).decode() for word in (b"one", b"two")]
    found = [*read_tensor(tensor("BYTES", [2], texts), "inputs[0]")]
    assert found == [(b"one", ""), (b"two", "")]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        ({"datatype": "FP32", "data": [1]}, "has no shape"),
        (tensor("FP32", [1, 3], [1, 2, 3, 4]), r"shape \[1, 3\], and 4 values"),
        (tensor("FP32", [10**18], [1]), "and 1 values"),
        (tensor("FP32", [10**400], [1]), "none over 9223372036854775807"),
        (tensor("FP32", [1] * 65, [1]), "65 sides; expected at most 32"),
        (tensor("FP32", [10**18] * 100_000, [1]), "100000 sides; expected at most 32"),
        (tensor("BYTES", [2], ["QUJD"]), "and 1 values"),
        (tensor("BYTES", [1], [7]), r"data\[0\]' is no text"),
        (tensor("BYTES", [1], ["*"]), "no base64"),
        (tensor("UINT8", [1], [256]), "no uint8"),
        (tensor("UINT8", [1], [-1]), "no uint8"),
        (tensor("INT8", [1], [0.5]), "no int8"),
        (tensor("FP16", [1], [1e6]), "no float16"),
        (tensor("FP32", [1], ["1"]), "found text"),
        (tensor("BOOL", [1], [True]), "has the datatype 'BOOL'"),
        ({**tensor("FP32", [1], [1]), "datatype": ["FP32"]}, "datatype"),
        (tensor("FP32", [-1], [1]), "no usable shape"),
        (tensor("FP32", [True], [1]), "no usable shape"),
        (tensor("FP32", "1", [1]), "no usable shape"),
        (tensor("FP32", [1], {"a": 1}), "found objects"),
    ],
)
def test_what_does_not_fit_together_is_named(one: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        [*read_tensor(one, "inputs[0]")]
