"""The .weights format: both headers, and files that do not fit."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.rotifer.cfg import parse_cfg
from handlers.rotifer.model import Darknet, load_network
from handlers.rotifer.weights import WeightReader, load_weights, write_weights
from handlers.runtime.weights import WeightsError
from tests.handlers.rotifer.support import GOLDEN, built, random_weights

TEXT = """[convolutional]
batch_normalize=1
filters=4
size=3
[convolutional]
filters=6
[yolo]
anchors=1,2
classes=1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return random_weights(built(TEXT), tmp_path / "a.weights")


def failure(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_weights(built(TEXT).named_layers(), path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("net", "seen"), [("tiny5", 1234567), ("res5", 640000)])
def test_both_headers(net: str, seen: int) -> None:
    path = GOLDEN / f"{net}.weights"
    reader = WeightReader(path)
    assert reader.seen == seen
    assert reader.left == (path.stat().st_size - (20 if net == "tiny5" else 16)) // 4


def test_a_short_header_gives_the_same_network(path: Path) -> None:
    data = path.read_bytes()
    short = path.with_name("short.weights")
    short.write_bytes(struct.pack("<3iI", 0, 1, 0, 7) + data[20:])
    one, other = built(TEXT), built(TEXT)
    load_weights(one.named_layers(), path)
    load_weights(other.named_layers(), short)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(one(x)[0], other(x)[0])


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such weight file" in failure(tmp_path / "a.weights")


def test_a_file_without_numbers(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:12])
    assert "12 bytes are no darknet weights" in failure(path)
    path.write_bytes(struct.pack("<3iQ", 0, 2, 5, 0))
    assert "ends inside layer 0" in failure(path)


def test_a_truncated_file_names_the_layer(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])
    message = failure(path)
    assert "ends inside layer 1 [convolutional] (line 8 of test.cfg)" in message
    assert "needs 30 numbers where 28 are left" in message


@pytest.mark.parametrize("extra", [1, 4, 4000])
def test_a_surplus_is_refused(path: Path, extra: int) -> None:
    path.write_bytes(path.read_bytes() + bytes(extra))
    assert f"{extra} bytes are left after the last layer" in failure(path)


@pytest.mark.parametrize(("place", "value"), [(0, np.nan), (13, -1.0), (20, np.inf)])
def test_nan_is_named_with_its_layer(path: Path, place: int, value: float) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, 20 + 4 * place, value)
    path.write_bytes(data)
    assert "NaN or infinite numbers in layer 0 [convolutional]" in failure(path)


def test_a_lying_cfg_costs_no_memory(tmp_path: Path, path: Path) -> None:
    cfg = tmp_path / "a.cfg"
    size = 40_000
    huge = TEXT.replace("filters=4", f"filters={size}").replace("size=3", "size=301")
    cfg.write_text("[net]\nwidth=320\nheight=320\n" + huge)
    with pytest.raises(WeightsError, match=r"layer 0 .* needs 10872280000 numbers"):
        load_network(cfg, path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.weights"
    numbers = torch.randn(3, 5)
    write_weights(path, [numbers, torch.ones(2)], seen=2**33)
    reader = WeightReader(path)
    assert reader.seen == 2**33
    reader.check_length([("a", 15), ("b", 2)])
    assert np.array_equal(reader.take((3, 5)), numbers.numpy())
    assert reader.take((2,)).tolist() == [1, 1]
    assert reader.left == 0


def test_the_epsilon_stands_outside_of_the_root(tmp_path: Path) -> None:
    head = "[net]\nwidth=2\nheight=2\n[convolutional]\nbatch_normalize=1\nfilters=6\n"
    head += "activation=linear\n[yolo]\nanchors=1,1\nclasses=1\n"
    network = Darknet(parse_cfg(head, "a.cfg"))
    variance = 1e-8
    norm = [torch.zeros(6), torch.ones(6), torch.zeros(6), torch.full((6,), variance)]
    write_weights(tmp_path / "w", [*norm, torch.full((6, 3, 1, 1), 1e-4)], seen=0)
    load_weights(network.named_layers(), tmp_path / "w")
    found = network.layers[0](torch.ones(1, 3, 2, 2))
    np.testing.assert_allclose(found.detach(), 3e-4 / (variance**0.5 + 1e-6), rtol=1e-5)
