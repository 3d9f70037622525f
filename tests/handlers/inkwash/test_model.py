"""The generator against the reference vectors, and every shape its weight file comes in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from handlers.inkwash.model import MIN_SIDE, Generator, load_generator
from handlers.runtime.weights import WeightsError
from tests.golden import synth

GOLDEN = Path(__file__).parents[2] / "golden"
SPEC = json.loads((GOLDEN / "inkwash_state_dict.json").read_text())

State = dict[str, Tensor]

make_state: Callable[..., State] = synth.make_state


@pytest.fixture(scope="module")
def golden() -> Generator:
    """The full-size generator with the golden weights."""
    generator = Generator().eval()
    generator.load_state_dict(make_state(SPEC, salt="inkwash-golden-1:", torch=True))
    return generator


@pytest.fixture
def small() -> Generator:
    torch.manual_seed(3)
    return Generator(ngf=4, blocks=2).eval()


def test_the_state_dict_is_the_original_one() -> None:
    shapes = {key: list(value.shape) for key, value in Generator().state_dict().items()}
    assert list(shapes.items()) == list(SPEC.items())


def test_paints_what_the_original_network_paints(golden: Generator) -> None:
    vectors = np.load(GOLDEN / "inkwash" / "net_256.npz")
    pixels = torch.from_numpy(vectors["input_uint8_hwc"]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        painted = golden(pixels / 127.5 - 1)
    np.testing.assert_allclose(painted[0].numpy(), vectors["output"], rtol=0, atol=1e-4)


def test_rounds_odd_sides_up_as_the_original_does(golden: Generator) -> None:
    vectors = np.load(GOLDEN / "inkwash" / "net_odd.npz")
    with torch.inference_mode():
        painted = golden(torch.from_numpy(vectors["input"]))
    np.testing.assert_allclose(painted.numpy(), vectors["output"], rtol=0, atol=1e-4)


def test_train_and_eval_mode_are_the_same_function(small: Generator) -> None:
    photo = torch.rand(1, 3, 20, 24)
    with torch.inference_mode():
        assert torch.equal(small.train()(photo), small.eval()(photo))


def test_the_smallest_picture(small: Generator) -> None:
    with torch.inference_mode():
        assert small(torch.rand(1, 3, MIN_SIDE, MIN_SIDE)).shape == (1, 3, 8, 8)
        with pytest.raises((RuntimeError, ValueError)):
            small(torch.rand(1, 3, MIN_SIDE - 1, MIN_SIDE - 1))


def with_prefix(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


def with_old_buffers(state: State) -> State:
    """What PyTorch before 0.4 saved: instance norms had running statistics."""
    channels = {"model.2": 4, "model.5": 8, "model.8": 16, "model.12": 8, "model.15": 4}
    channels |= {f"model.{n}.conv_block.{k}": 16 for n in (10, 11) for k in (2, 6)}
    buffers = {
        f"{norm}.{name}": torch.ones(count)
        for norm, count in channels.items()
        for name in ("running_mean", "running_var")
    }
    counters = {f"{norm}.num_batches_tracked": torch.tensor(7) for norm in channels}
    return state | buffers | counters


def with_dropout(state: State) -> State:
    return {key.replace("conv_block.5.", "conv_block.6."): v for key, v in state.items()}


def with_dropout_and_old_buffers(state: State) -> State:
    running = {f"model.10.conv_block.{k}.running_mean": torch.ones(16) for k in (2, 7)}
    return with_dropout(state) | running


def nested(state: State) -> dict[str, State]:
    return {"state_dict": state}


def plain(state: State) -> State:
    return state


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "shape",
    [plain, nested, with_prefix, with_old_buffers, with_dropout, with_dropout_and_old_buffers],
)
def test_every_shape_of_file_is_read(
    small: Generator, tmp_path: Path, shape: Callable[[State], object], zipped: bool
) -> None:
    path = tmp_path / "latest_net_G.pth"
    content = shape(dict(small.state_dict()))
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = load_generator(path)
    photo = torch.rand(1, 3, 16, 20)
    with torch.inference_mode():
        assert torch.equal(loaded(photo), small(photo))


def test_width_and_depth_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save(Generator(ngf=6, blocks=3).state_dict(), path)
    loaded = load_generator(path)
    assert loaded.state_dict()["model.1.weight"].shape == (6, 3, 7, 7)
    assert loaded.blocks == 3
    assert not loaded.training


def test_half_precision_weights_become_float32(small: Generator, tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save(small.half().state_dict(), path)
    assert {p.dtype for p in load_generator(path).parameters()} == {torch.float32}


def failure(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_generator(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such weight file" in failure(tmp_path / "latest_net_G.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_named(small: Generator, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save(small.state_dict(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "truncated" in failure(path)


def test_another_network_is_refused_with_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, path)
    message = failure(path)
    assert "model.1.weight" in message
    assert "features.0.weight (8, 3, 3, 3)" in message


def test_a_file_of_buffers_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save({"model.2.running_mean": torch.zeros(8)}, path)
    assert "found no tensors" in failure(path)


def test_a_wrong_shape_is_named(small: Generator, tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save(small.state_dict() | {"model.4.weight": torch.zeros(9, 4, 3, 3)}, path)
    assert "model.4.weight should be (8, 4, 3, 3) and is (9, 4, 3, 3)" in failure(path)


def test_a_missing_key_is_named(small: Generator, tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    state = dict(small.state_dict())
    del state["model.11.conv_block.5.bias"]
    torch.save(state, path)
    assert "1 missing: model.11.conv_block.5.bias" in failure(path)


def test_an_unknown_key_is_named(small: Generator, tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save(small.state_dict() | {"model.99.weight": torch.zeros(1)}, path)
    assert "1 unknown: model.99.weight" in failure(path)
