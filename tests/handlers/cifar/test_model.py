"""The networks against the original project's, and the demo weights against fresh drawings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from handlers.cifar.data import draw_dataset
from handlers.cifar.model import CLASSES, VGG11, LeNet, load_network, network_for, normalise
from handlers.cifar.trainer import evaluate
from handlers.runtime.weights import WeightsError, fit_state
from tests.golden import synth

GOLDEN = Path(__file__).parents[2] / "golden"
ROOM = Path(__file__).parents[3] / "handlers" / "cifar"
NETWORKS = ("lenet", "vgg11")
ORIGINALS: dict[str, type[nn.Module]] = {"lenet": LeNet, "vgg11": VGG11}


def golden_json(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((GOLDEN / name).read_text()))


def golden_state(name: str) -> dict[str, np.ndarray[Any, Any]]:
    expected = golden_json("cifar/expected.json")
    make_state: Any = synth.make_state
    spec = golden_json(f"cifar_{name}_state_dict.json")
    return cast(
        "dict[str, np.ndarray[Any, Any]]",
        make_state(spec, salt=expected[name]["salt"], gain=expected["gain"]),
    )


@pytest.fixture(scope="module", params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return cast("str", request.param)


@pytest.fixture(scope="module")
def state(name: str) -> dict[str, Tensor]:
    arrays = golden_state(name)
    digest: Any = synth.digest
    assert digest(arrays) == golden_json("cifar/expected.json")[name]["weights_digest"]
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


@pytest.fixture(scope="module")
def weights(name: str, state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
    torch.save(state, path)
    return path


def golden_images() -> Tensor:
    return torch.from_numpy(np.load(GOLDEN / "cifar" / "inputs_uint8_nchw.npy"))


def golden_logits(name: str) -> Tensor:
    with np.load(GOLDEN / "cifar" / "logits.npz") as logits:
        return torch.from_numpy(logits[name])


def test_original_size_has_the_original_state(name: str) -> None:
    wanted = {
        key: tuple(shape) for key, shape in golden_json(f"cifar_{name}_state_dict.json").items()
    }
    state = ORIGINALS[name]().state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == wanted
    assert list(state) == list(wanted)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_logits_are_the_originals(
    name: str, weights: Path, memory_format: torch.memory_format
) -> None:
    network = load_network(weights)
    images = normalise(golden_images()).contiguous(memory_format=memory_format)
    logits = network(images)
    torch.testing.assert_close(logits, golden_logits(name), atol=1e-4, rtol=0)
    labels = [CLASSES[index] for index in logits.argmax(1)]
    assert labels == golden_json("cifar/expected.json")[name]["top1"]


@torch.inference_mode()
def test_logits_are_the_originals_with_the_norms_folded(tmp_path: Path) -> None:
    arrays = golden_state("vgg11")
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, tmp_path / "w.pth")
    network = cast("VGG11", load_network(tmp_path / "w.pth"))
    network.fold()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    logits = network(normalise(golden_images()))
    torch.testing.assert_close(logits, golden_logits("vgg11"), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_picture_alone_is_answered_as_in_a_batch(name: str, weights: Path) -> None:
    network = load_network(weights)
    alone = network(normalise(golden_images()[3:4]))
    torch.testing.assert_close(alone, golden_logits(name)[3:4], atol=1e-4, rtol=0)


def test_loads_in_evaluation_mode(weights: Path) -> None:
    assert not any(module.training for module in load_network(weights).modules())


def test_classes_are_in_the_original_order() -> None:
    assert list(CLASSES) == golden_json("cifar/expected.json")["classes"]


def test_normalise_spans_minus_one_to_one() -> None:
    values = normalise(torch.tensor([0, 51, 255], dtype=torch.uint8))
    torch.testing.assert_close(values, torch.tensor([-1.0, -0.6, 1.0]))


@pytest.mark.parametrize("made", [LeNet(4, 6, 20, 10), VGG11(5)], ids=["lenet", "vgg11"])
def test_widths_come_from_the_shapes(made: nn.Module) -> None:
    state = made.state_dict()
    network = network_for(state, Path("narrow.pth"))
    fit_state(network, state, Path("narrow.pth"))
    assert type(network) is type(made)
    images = torch.zeros(2, 3, 32, 32)
    torch.testing.assert_close(network.eval()(images), made.eval()(images))


def test_a_network_of_neither_kind_is_refused() -> None:
    state = {f"layer{number}.weight": torch.zeros(1) for number in range(9)}
    with pytest.raises(
        WeightsError, match=r"resnet.pth: neither .*layer0.weight, .*layer4.weight$"
    ):
        network_for(state, Path("resnet.pth"))


def test_a_missing_tensor_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    last = list(state)[-1]
    torch.save({key: value for key, value in state.items() if key != last}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"w.pth: does not fit.* 1 missing: {last}"):
        load_network(tmp_path / "w.pth")


def test_an_unknown_tensor_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**state, "head.bias": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"1 unknown: head\.bias"):
        load_network(tmp_path / "w.pth")


def test_a_wrong_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    state = LeNet(2, 2, 4, 4).state_dict()
    torch.save({**state, "fc3.weight": torch.zeros(100, 4)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"fc3.weight should be \(10, 4\) and is \(100, 4\)"):
        load_network(tmp_path / "w.pth")


def test_a_scalar_in_place_of_a_weight_is_named(tmp_path: Path) -> None:
    state = LeNet(2, 2, 4, 4).state_dict()
    torch.save({**state, "conv2.weight": torch.tensor(1.0)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"conv2.weight should be \(64, 2, 5, 5\) and is \(\)"):
        load_network(tmp_path / "w.pth")


def test_demo_weights_know_fresh_drawings(name: str) -> None:
    network = load_network(ROOM / "demo" / f"{name}.pth")
    _, accuracy = evaluate(network, draw_dataset(300, seed=987_654_321))
    assert accuracy >= 0.90


def test_demo_weights_fit_into_git(name: str) -> None:
    assert (ROOM / "demo" / f"{name}.pth").stat().st_size < 5_000_000


@pytest.mark.parametrize("way", [Image.Resampling.BOX, Image.Resampling.BILINEAR])
@torch.inference_mode()
def test_demo_weights_are_sure_of_the_example(name: str, way: Image.Resampling) -> None:
    with Image.open(ROOM / "example.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (256, 256))
        pixels = np.asarray(picture.resize((32, 32), way))
    image = normalise(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
    scores = load_network(ROOM / "demo" / f"{name}.pth")(image).softmax(1)[0]
    assert CLASSES[int(scores.argmax())] == "ship"
    assert float(scores.max()) > 0.9
