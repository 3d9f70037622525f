"""Weights in every form they come as, and what is said of those that do not fit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from handlers.runtime.weights import WeightsError
from handlers.smoke.model import SmokeNet, load_network
from handlers.smoke.pack import KerasError, inputs, pack, read_keras
from tests.golden import synth
from tests.support import GOLDEN

h5py = pytest.importorskip("h5py", reason="reads and writes Keras files")

H5 = GOLDEN / "smoke" / "smoke_unet.h5"
SPEC: dict[str, list[int]] = json.loads((GOLDEN / "smoke_state_dict.json").read_text())
make_state: Callable[..., dict[str, Any]] = synth.make_state
Weights = dict[str, Any]


@pytest.fixture(scope="module")
def synthetic() -> Weights:
    return make_state(SPEC, salt="smoke-test:")


def write_h5(path: Path, weights: Weights, *, shift: int = 0, root: str = "model_weights") -> Path:
    """Write a Keras file; ``shift`` numbers the layers as a later model of a process would be."""
    layers: dict[str, list[tuple[str, Any]]] = {"input_1": []}
    for key, value in weights.items():
        layer, leaf = key.split("/")
        layers.setdefault(_renumbered(layer, shift), []).append((leaf, value))
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, arrays in layers.items():
            part = group.create_group(layer)
            part.attrs["weight_names"] = [f"{layer}/{leaf}".encode() for leaf, _ in arrays]
            for leaf, value in arrays:
                part.create_dataset(f"{layer}/{leaf}", data=value)
        group.create_group("top_level_model_weights").attrs["weight_names"] = []
    return path


def _renumbered(layer: str, shift: int) -> str:
    stem, _, number = layer.rpartition("_")
    if number.isdecimal():
        return f"{stem}_{int(number) + shift}"
    return f"{layer}_{shift}" if shift else layer


def changed(weights: Weights, **arrays: Any) -> Weights:
    return weights | {key.replace("__", "/") + ":0": value for key, value in arrays.items()}


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_layers_are_matched_by_order_not_by_name(tmp_path: Path, synthetic: Weights) -> None:
    plain = read_keras(write_h5(tmp_path / "a.h5", synthetic))
    later = read_keras(write_h5(tmp_path / "b.h5", synthetic, shift=23))
    assert same(plain, later)
    state = plain.state_dict()
    kernel = synthetic["conv2d/kernel:0"]
    assert np.array_equal(state["down.0.first.0.weight"].numpy(), kernel.transpose(3, 2, 0, 1))
    last = synthetic["batch_normalization_24/moving_variance:0"]
    assert np.array_equal(state["up.3.second.norm.running_var"].numpy(), last)


def test_keras_3_names_and_files_of_weights_only(tmp_path: Path, synthetic: Weights) -> None:
    unnumbered = {key.removesuffix(":0"): value for key, value in synthetic.items()}
    third = read_keras(write_h5(tmp_path / "a.h5", unnumbered))
    alone = read_keras(write_h5(tmp_path / "b.h5", synthetic, root=""))
    assert same(third, alone)


def test_an_archives_file_is_a_plain_state_dict_with_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(pack(H5, tmp_path / name))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert same(load_network(files[0]), read_keras(H5))
    assert inputs(H5) == [H5]


def test_pytorch_weights_are_packed_as_well(tmp_path: Path) -> None:
    source = SmokeNet()
    torch.save({"state_dict": source.state_dict()}, tmp_path / "mine.pth")
    assert same(load_network(pack(tmp_path / "mine.pth", tmp_path)), source)


def test_a_keras_file_of_another_name_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(H5.read_bytes())
    assert same(load_network(pack(path, tmp_path)), read_keras(H5))


def _bad(synthetic: Weights) -> Iterator[tuple[str, Weights, str]]:
    without = {k: v for k, v in synthetic.items() if not k.startswith("conv2d_22/")}
    yield "a layer too few", without, r"51 layers have weights, the smoke network has 52"
    bands = changed(synthetic, conv2d__kernel=np.zeros((3, 3, 4, 24), np.float32))
    yield "four bands", bands, r"layer conv2d, kernel has shape .*expected \(24, 6, 3, 3\)"
    swapped = {_swap(key): value for key, value in synthetic.items()}
    yield "another order", swapped, "here the network has"
    broken = changed(synthetic, conv2d_3__bias=np.full(24, np.nan, np.float32))
    yield "NaN", broken, r"conv2d_3, bias holds something else than finite numbers"


def _swap(key: str) -> str:
    names = {"batch_normalization/": "conv2d_1/", "conv2d_1/": "batch_normalization/"}
    kinds = {"kernel:0": "gamma:0", "bias:0": "beta:0", "gamma:0": "kernel:0", "beta:0": "bias:0"}
    for old, new in names.items():
        if key.startswith(old):
            leaf = key.removeprefix(old)
            return new + kinds.get(leaf, leaf)
    return key


def test_another_network_is_named(tmp_path: Path, synthetic: Weights) -> None:
    for name, weights, words in _bad(synthetic):
        path = write_h5(tmp_path / f"{name}.h5", weights)
        with pytest.raises(KerasError, match=words) as caught:
            read_keras(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", H5.read_bytes()[:5000]])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "smoke.h5"
    path.write_bytes(content)
    with pytest.raises(KerasError, match=r"smoke\.h5: no Keras model in HDF5, or damaged"):
        pack(path, tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(KerasError, match=r"no\.h5: there is no such weight file"):
        pack(tmp_path / "no.h5", tmp_path)
    with pytest.raises(WeightsError, match=r"no\.pth: there is no such weight file"):
        pack(tmp_path / "no.pth", tmp_path)


def test_without_h5py_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(KerasError, match=r"pip install h5py"):
        pack(H5, tmp_path)


def test_a_file_that_hdf5_makes_no_end_of_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "endless.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv2d"]
        file.create_group("conv2d").attrs["weight_names"] = ["of variable length"]
    data = path.read_bytes()
    first = data.index(b"GCOL") + 16
    # An object of its heap that takes no room: the next one begins where it does.
    path.write_bytes(data[:first] + bytes(16) + data[first + 16 :])
    with pytest.raises(KerasError, match=r"HDF5's library crashed, or read for \d+ s"):
        read_keras(path)


def test_an_array_that_no_file_can_hold_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "vast.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv2d"]
        layer = file.create_group("conv2d")
        layer.attrs["weight_names"] = [b"kernel:0"]
        layer.create_dataset("kernel:0", (1 << 40,), "f4", chunks=(1 << 20,))
    with pytest.raises(KerasError, match="an array of conv2d has more than"):
        read_keras(path)
