"""Our reader of safetensors against the library of that name, and against files that lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from handlers.runtime.safetensors import DTYPES, read_safetensors
from handlers.runtime.weights import WeightsError, read_state

save_file = pytest.importorskip("safetensors.torch").save_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.ckpt"


def test_all_types_and_shapes_as_the_library_wrote_them(path: Path) -> None:
    numbers = torch.arange(12).reshape(3, 4)
    state = {name: numbers.to(dtype) for name, dtype in DTYPES.items()}
    state |= {"none": torch.empty(0, 3), "one": torch.tensor(2.5), "long": torch.randn(1, 2, 3, 4)}
    save_file(state, path, metadata={"format": "pt"})
    found = read_state(path)
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert torch.equal(
            found[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8)
        )
    assert found["one"].item() == 2.5


def test_what_is_read_may_be_written_to_and_the_file_stays(path: Path) -> None:
    save_file({"a": torch.zeros(4)}, path)
    before = path.read_bytes()
    read_safetensors(path)["a"].add_(1)
    assert path.read_bytes() == before


def lying(path: Path, header: object, data: bytes = bytes(16)) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def one(**said: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | said}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"{not json....", "no JSON object"),
        (b"{" * 5000, "no JSON object"),
        (one(shape=[2, 3]), "does not lie in it"),
        (one(shape=[4, 4], data_offsets=[0, 64]), "does not lie in it"),
        (one(data_offsets=[16, 0]), "does not lie in it"),
        (one(data_offsets=[-16, 0]), "other numbers"),
        (one(shape=[2.0, 2]), "other numbers"),
        (one(shape=[True, 4]), "other numbers"),
        (one(shape="ab"), "other numbers"),
        (one(data_offsets=[0]), "describes 'a' as"),
        (one(dtype="F4"), "describes 'a' as"),
        (one(shape=[0, 1 << 70], data_offsets=[0, 0]), "cannot be read"),
        ({"a": [1]}, "describes 'a' as"),
    ],
)
def test_headers_that_lie(path: Path, header: object, words: str) -> None:
    lying(path, header)
    with pytest.raises(WeightsError, match=words):
        read_state(path)


def test_a_truncated_file_says_so(path: Path) -> None:
    save_file({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WeightsError, match="truncated"):
        read_state(path)


@pytest.mark.parametrize("shape", [[0, 10**30], [0, *[1] * 200], [10**18] * 100_000])
def test_shapes_beyond_all_bounds_are_refused_at_once_in_a_line(
    path: Path, shape: list[int]
) -> None:
    lying(path, {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}})
    with pytest.raises(WeightsError, match="its header describes 'a'") as refused:
        read_state(path)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)
