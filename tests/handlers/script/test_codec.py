"""Bodies of the default functions: what is read, what is refused, and with which status."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
import scipy.sparse
import torch

from handlers.runtime.arrays import Array
from handlers.runtime.errors import BadRequest, NotAcceptable, TooLarge, UnsupportedMediaType
from handlers.script.codec import CSV, NPZ, decode, encode
from tests.handlers.script.harness import JSON, NPY

LIMIT = 10_000


def npy(array: Array, *, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def npz(**arrays: Array) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def sparse(matrix: scipy.sparse.spmatrix) -> bytes:
    stream = io.BytesIO()
    scipy.sparse.save_npz(stream, matrix)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f2", "f4", "f8", "?", ">f4"])
def test_npy_keeps_its_type(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = decode(npy(array), NPY, LIMIT)
    assert np.array_equal(tensor.numpy(), array)
    assert tensor.numpy().dtype == array.dtype.newbyteorder("=")


def test_a_single_number_keeps_having_no_dimensions() -> None:
    assert decode(npy(np.array(5.0)), NPY, LIMIT).shape == ()
    assert decode("5", JSON, LIMIT).shape == ()


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_float32(kind: str) -> None:
    tensor = decode("[[1, 2.5]]", kind, LIMIT)
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [[1, 2.5]]


def test_npz_with_one_array() -> None:
    array = np.random.default_rng(0).random((3, 4), np.float32)
    assert np.array_equal(decode(npz(x=array), NPZ, LIMIT).numpy(), array)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_npz_with_a_sparse_matrix(kind: str) -> None:
    dense = np.random.default_rng(0).integers(0, 3, (5, 7)).astype(np.float32)
    body = sparse(scipy.sparse.csr_matrix(dense).asformat(kind))
    assert np.array_equal(decode(body, NPZ, LIMIT).numpy(), dense)


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(np.zeros(30_000_000, np.uint8)))
    assert len(stream.getvalue()) < 40_000
    return stream.getvalue()


def many_entries() -> bytes:
    return npz(**{f"a{i}": np.zeros(1) for i in range(40)})


def lying(method: int = zipfile.ZIP_DEFLATED, claimed: int = 100) -> bytes:
    """Zeros by the megabyte, of which both headers say that they are few bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.npy", bytes(60 << 20))
    body = bytearray(stream.getvalue())
    place = body.rindex(b"PK\1\2") + 24
    body[place : place + 4] = body[22:26] = claimed.to_bytes(4, "little")
    return bytes(body)


def encrypted() -> bytes:
    body = bytearray(npz(a=np.zeros(1)))
    for start, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        body[body.rindex(start) + flags] |= 1
    return bytes(body)


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name.replace("__", "."), member)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "error", "words"),
    [
        ("", JSON, BadRequest, "empty"),
        ("[1, 2", JSON, BadRequest, "not valid JSON"),
        ("[[1, 2], [3]]", JSON, BadRequest, "ragged"),
        ("[NaN]", JSON, BadRequest, "NaN"),
        ("[1e300]", JSON, BadRequest, "infinite"),
        ("[]", JSON, BadRequest, "empty"),
        ('{"a": 1}', JSON, BadRequest, "expected an array of numbers"),
        ('["a"]', JSON, BadRequest, "text"),
        ("[" * 100_000, JSON, BadRequest, "nested too deeply"),
        ("", CSV, BadRequest, "CSV body is empty"),
        ("a,b\n1,2", CSV, BadRequest, "not a CSV table"),
        ("1,2\n3", CSV, BadRequest, "not a CSV table"),
        ("1,nan", CSV, BadRequest, "NaN"),
        (b"1,\xff", CSV, BadRequest, "not a CSV table"),
        (b"no npy", NPY, BadRequest, "numpy.save"),
        (npy(np.zeros(4))[:-3], NPY, BadRequest, "truncated"),
        (npy(np.array([{}]), pickled=True), NPY, BadRequest, "pickled"),
        (npy(np.array([np.inf])), NPY, BadRequest, "infinite"),
        (npy(np.array(["a"])), NPY, BadRequest, "text"),
        (npy(np.zeros((0, 3))), NPY, BadRequest, "empty"),
        (npy(np.zeros(2, np.longdouble)), NPY, BadRequest, "send float32"),
        (b"no zip", NPZ, BadRequest, "no readable .npz"),
        (npz(a=np.zeros(1), b=np.zeros(1)), NPZ, BadRequest, "2 arrays"),
        (npz(a=np.zeros(1))[:-30], NPZ, BadRequest, "no readable"),
        (npz(a=np.ones(9))[:70] + b"?" + npz(a=np.ones(9))[71:], NPZ, BadRequest, "readable"),
        (bomb(), NPZ, TooLarge, "unpacks to more than 100000 bytes"),
        (many_entries(), NPZ, TooLarge, "40 arrays"),
        (zipped(**{f"a{i}": b"" for i in range(1100)}), NPZ, TooLarge, "far more than 32"),
        (
            zipped(a=npy(np.ones(1)), a__npy=npy(np.ones(2))),
            NPZ,
            BadRequest,
            "two arrays named 'a'",
        ),
        (zipped(a__npy=zipped(a=b"x")), NPZ, BadRequest, "no .npy file"),
        (encrypted(), NPZ, BadRequest, "encrypted"),
        (lying(), NPZ, BadRequest, "no readable .npz file: Bad CRC-32"),
        (lying(zipfile.ZIP_STORED), NPZ, BadRequest, "np[yz]"),
        (lying(zipfile.ZIP_BZIP2), NPZ, BadRequest, "method 12, expected stored or deflated"),
        (lying(zipfile.ZIP_LZMA), NPZ, BadRequest, "method 14, expected stored or deflated"),
        (sparse(scipy.sparse.coo_matrix((90_000, 90_000))), NPZ, TooLarge, "in full"),
        (sparse(scipy.sparse.bsr_matrix(np.eye(4))), NPZ, BadRequest, "format 'bsr'"),
        ("x", "text/html", UnsupportedMediaType, "cannot read 'text/html'; send"),
        (b"x", None, UnsupportedMediaType, "without content type"),
    ],
)
def test_what_cannot_be_read(
    body: bytes | str, kind: str | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        decode(body, kind, 100_000 if kind == NPZ else LIMIT)


@pytest.mark.parametrize(
    "parts",
    [
        {"shape": np.array([2, 2]), "indices": np.array([0, 9]), "indptr": np.array([0, 1, 2])},
        {"shape": np.array([2, 2]), "indices": np.array([0, -1]), "indptr": np.array([0, 1, 2])},
        {"shape": np.array([2, 2]), "indices": np.array([0, 1]), "indptr": np.array([0, 1])},
        {"shape": np.array([2, 2]), "indices": np.array([0, 1]), "indptr": np.array([0, 9, -7])},
        {"shape": np.array([-2, 2]), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2])},
        {"shape": np.array([2.5, 2]), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2])},
        {"shape": np.array([2, 2]), "indptr": np.array([0, 1, 2])},
    ],
)
def test_sparse_matrices_that_lie(parts: dict[str, Array]) -> None:
    body = npz(format=np.array(b"csr"), data=np.ones(2), **parts)
    with pytest.raises(BadRequest, match="sparse matrix|array of numbers"):
        decode(body, NPZ, LIMIT)


def coo(count: int, **changed: Array) -> bytes:
    parts = {"row": np.zeros(count, int), "col": np.zeros(count, int), "data": np.ones(count)}
    return npz(format=np.array(b"coo"), shape=np.array([2, 2]), **(parts | changed))


@pytest.mark.parametrize(
    "changed",
    [
        # Rows by columns: numpy would make 2.5 * 10**9 positions of 50,000 each.
        {"row": np.zeros((50_000, 1), int), "col": np.zeros((1, 50_000), int)},
        {"row": np.zeros((1, 50_000), int), "data": np.ones(1)},
        {"row": np.zeros(50_000, bool)},
        {"data": np.ones(50_000, "V8")},
    ],
)
def test_parts_of_a_sparse_matrix_are_of_one_length(changed: dict[str, Array]) -> None:
    with pytest.raises(BadRequest, match="sparse matrix|array of numbers"):
        decode(coo(50_000, **changed), NPZ, 10_000_000)
    assert decode(coo(3), NPZ, LIMIT).tolist() == [[3, 0], [0, 0]]


@pytest.mark.parametrize(
    ("method", "error"),
    [(zipfile.ZIP_DEFLATED, BadRequest), (zipfile.ZIP_BZIP2, BadRequest)],
)
def test_memory_stays_flat_whatever_a_zip_file_says(method: int, error: type[Exception]) -> None:
    body = lying(method)
    tracemalloc.start()
    try:
        with pytest.raises(error):
            decode(body, NPZ, 100_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/json", JSON),
        ("application/x-npy, application/json", NPY),
        ("application/json;q=0.5, text/csv", CSV),
        ("image/png, application/x-npz", NPZ),
        ("text/*", CSV),
        ("image/png, */*;q=0.1", JSON),
    ],
)
def test_the_first_known_type_is_written(accept: str, media: str) -> None:
    assert encode(torch.ones(2), accept)[1] == media


def test_npz_is_written_with_one_array() -> None:
    body, _ = encode(torch.tensor([[1.5, 2]]), NPZ)
    with np.load(io.BytesIO(body)) as archive:
        assert archive["arr_0"].tolist() == [[1.5, 2]]


def test_predictions_of_mixed_kinds_as_json() -> None:
    value = {"a": np.float32(1.5), "b": [torch.ones(2)], "c": np.arange(2)}
    assert json.loads(encode(value, JSON)[0]) == {"a": 1.5, "b": [[1, 1]], "c": [0, 1]}
    assert encode(torch.tensor([True]), JSON)[0] == b"[true]"
    assert encode(torch.ones(1, dtype=torch.bfloat16), JSON)[0] == b"[1.0]"


@pytest.mark.parametrize(
    ("value", "accept", "words"),
    [
        (torch.ones(1), "image/png", "expected one of application/json"),
        (torch.ones(1, 1, 1), CSV, r"shape is \(1, 1, 1\)"),
        ({"a": 1}, NPY, "not an array"),
        ([[1], [2, 3]], NPY, "differ in length"),
    ],
)
def test_what_cannot_be_written(value: object, accept: str, words: str) -> None:
    with pytest.raises(NotAcceptable, match=words):
        encode(value, accept)


def test_numbers_that_json_does_not_have() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(torch.tensor([float("nan")]), JSON)
