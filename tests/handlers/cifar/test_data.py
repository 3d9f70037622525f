"""CIFAR-10's files, written here as Python 2 wrote them, and the drawn pictures."""

from __future__ import annotations

import os
import pickle
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from handlers.cifar.data import DataError, draw_dataset, load_real
from handlers.cifar.demo.scenes import draw
from handlers.cifar.model import CLASSES

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def python2_pickle(content: object) -> bytes:
    """Pickle ``content`` with bytes as Python 2's ``str`` and numpy under its old name."""
    pickler_class: Any = pickle._Pickler

    class Python2Pickler(pickler_class):  # type: ignore[misc]
        def save_bytes(self, value: bytes) -> None:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

        dispatch = {**pickler_class.dispatch, bytes: save_bytes}  # noqa: RUF012 - pickle's own

    file = BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(seed: int, count: int = 4) -> dict[bytes, Any]:
    rng = np.random.default_rng(seed)
    return {
        b"batch_label": b"training batch",
        b"labels": rng.integers(0, 10, count).tolist(),
        b"data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        b"filenames": [b"some_picture.png"] * count,
    }


def write_data_set(folder: Path) -> list[dict[bytes, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    batches = [batch(seed) for seed in range(6)]
    for name, content in zip([*TRAIN, "test_batch"], batches, strict=True):
        (folder / name).write_bytes(python2_pickle(content))
    return batches


@pytest.mark.parametrize("layout", ["", "cifar-10-batches-py"])
def test_reads_the_training_files_in_both_layouts(tmp_path: Path, layout: str) -> None:
    batches = write_data_set(tmp_path / layout)[:5]
    pixels, labels = load_real(tmp_path, train=True)
    rows = np.concatenate([content[b"data"] for content in batches])
    assert pixels.dtype == torch.uint8
    assert labels.dtype == torch.int64
    np.testing.assert_array_equal(pixels.numpy(), rows.reshape(20, 3, 32, 32))
    assert labels.tolist() == [label for content in batches for label in content[b"labels"]]


def test_reads_the_test_file(tmp_path: Path) -> None:
    last = write_data_set(tmp_path)[5]
    pixels, labels = load_real(tmp_path, train=False)
    assert pixels.shape == (4, 3, 32, 32)
    assert labels.tolist() == last[b"labels"]


def test_reads_files_saved_again_by_python_3(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch(7), protocol=4))
    pixels, _ = load_real(tmp_path, train=False)
    np.testing.assert_array_equal(pixels.numpy().reshape(4, 3072), batch(7)[b"data"])


def test_the_planes_are_red_green_blue(tmp_path: Path) -> None:
    content = batch(1, count=1)
    content[b"data"] = np.repeat(np.array([[10, 20, 30]], np.uint8), 1024, axis=1)
    (tmp_path / "test_batch").write_bytes(python2_pickle(content))
    pixels, _ = load_real(tmp_path, train=False)
    assert pixels[0].flatten(1).float().mean(1).tolist() == [10, 20, 30]


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    attack = python2_pickle({**batch(1), b"more": Attack(trace)})
    (tmp_path / "test_batch").write_bytes(attack)
    with pytest.raises(DataError, match=r"test_batch: refused.*mkdir.*nothing in it was run"):
        load_real(tmp_path, train=False)
    assert not trace.exists()
    pickle.loads(attack, encoding="bytes")  # noqa: S301 - the attack does work on those who do not refuse it
    assert trace.exists()


def test_a_missing_data_set_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data_batch_1 .*cifar-10-python\.tar\.gz"):
        load_real(tmp_path, train=True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    (tmp_path / "data_batch_3").unlink()
    with pytest.raises(DataError, match="data_batch_3: there is no such file"):
        load_real(tmp_path, train=True)


@pytest.mark.parametrize("kept", [0, 1, 100, 3000])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    (tmp_path / "test_batch").write_bytes(python2_pickle(batch(1))[:kept])
    with pytest.raises(DataError, match=r"test_batch: (damaged|refused)"):
        load_real(tmp_path, train=False)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({b"labels": [0, 1, 2, 10]}, "from 0 to 9"),
        ({b"labels": [0, 1, 2]}, "4 pictures, but 3 labels"),
        ({b"data": [1, 2, 3]}, "no plain array"),
        ({b"data": np.zeros((4, 3071), np.uint8)}, r"found shape \(4, 3071\)"),
        ({b"data": np.zeros((4, 3072), np.float32)}, "49152 bytes"),
        ({b"data": np.zeros((4, 3072), np.uint8, order="F")}, "row by row"),
        ({b"data": np.full((4, 3072), None)}, "no plain array"),
    ],
)
def test_content_that_is_no_cifar_is_refused(
    tmp_path: Path, changed: dict[bytes, Any], message: str
) -> None:
    (tmp_path / "test_batch").write_bytes(python2_pickle({**batch(1), **changed}))
    with pytest.raises(DataError, match=message):
        load_real(tmp_path, train=False)


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(python2_pickle([1, 2]))
    with pytest.raises(DataError, match="a dict with data and labels"):
        load_real(tmp_path, train=False)


def test_drawn_data_set_is_balanced_and_repeatable() -> None:
    pixels, labels = draw_dataset(40, seed=3)
    again, same = draw_dataset(40, seed=3)
    other, _ = draw_dataset(40, seed=4)
    assert pixels.shape == (40, 3, 32, 32)
    assert pixels.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [4] * 10
    assert torch.equal(pixels, again)
    assert torch.equal(labels, same)
    assert not torch.equal(pixels, other)


@pytest.mark.parametrize("label", range(10), ids=CLASSES)
def test_no_two_drawings_are_alike(label: int) -> None:
    rng = np.random.default_rng(label)
    first, second = draw(label, rng), draw(label, rng)
    assert first.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert np.abs(first.astype(int) - second).mean() > 5
    assert first.std() > 5


def test_draws_larger_pictures_too() -> None:
    assert draw(8, np.random.default_rng(0), 96).shape == (96, 96, 3)
