"""One rule for the checkpoints of all trainers: where the weights are, and under which prefix."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from handlers.cifar.model import VGG11, LeNet, load_network
from handlers.inkwash.model import Generator, load_generator
from handlers.runtime.weights import WeightsError, fit_state, read_state
from handlers.smoke.model import SmokeNet
from handlers.smoke.model import load_network as load_smoke

State = dict[str, Tensor]


def lenet() -> nn.Module:
    torch.manual_seed(0)
    return LeNet(4, 4, 8, 8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.pth"


def same(network: nn.Module, state: State) -> bool:
    return all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "model._orig_mod.module.",
     "_orig_mod.module.", "net.module.", "model.net."],
)  # fmt: skip
@pytest.mark.parametrize(
    "container",
    ["", "state_dict", "model_state_dict", "model_state", "model", "weights", "params",
     "params_ema", "ema", "whatever", "checkpoint/model"],
)  # fmt: skip
def test_prefixes_and_containers(path: Path, prefix: str, container: str) -> None:
    state = lenet().state_dict()
    saved: dict[str, object] = dict(prefixed(state, prefix))
    for name in reversed(container.split("/") if container else []):
        saved = {name: saved, "epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}
    torch.save(saved, path)
    assert same(load_network(path), state)


def test_networks_whose_own_keys_begin_like_a_prefix(path: Path) -> None:
    state = Generator(4, 1).state_dict()
    assert all(key.startswith("model.") for key in state)
    for prefix in ("", "module.", "model.", "model.module.", "netG."):
        torch.save({"state_dict": prefixed(state, prefix)}, path)
        assert same(load_generator(path), state)


def test_a_part_that_was_wrapped_alone(path: Path) -> None:
    state = VGG11(4).state_dict()
    inside = {key.replace("features.", "features.module."): value for key, value in state.items()}
    for prefix in ("", "model."):
        torch.save({"state_dict": prefixed(inside, prefix)}, path)
        assert same(load_network(path), state)


def test_lightnings_checkpoint(path: Path) -> None:
    state = lenet().state_dict()
    saved = {
        "epoch": 9,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": prefixed(state, "model.") | {"criterion.weight": torch.ones(10)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
        "hyper_parameters": {"lr": 0.1},
    }
    torch.save(saved, path)
    assert same(load_network(path), state)


def test_averaged_weights(path: Path) -> None:
    averaged = AveragedModel(SmokeNet())
    torch.save(averaged.state_dict(), path)
    assert same(load_smoke(path), averaged.module.state_dict())
    assert "n_averaged" not in read_state(path)


def test_two_that_fit_and_differ_are_refused_with_both_names(path: Path) -> None:
    one, other = lenet().state_dict(), LeNet(4, 4, 8, 8).state_dict()
    torch.save({"params": one, "params_ema": other}, path)
    with pytest.raises(WeightsError, match="two sets .*params and params_ema.*differ"):
        load_network(path)
    torch.save({"state_dict": prefixed(one, "net.") | prefixed(other, "model.")}, path)
    with pytest.raises(WeightsError, match=r"under net\. and state_dict under model\."):
        load_network(path)
    torch.save({"params": one, "params_ema": {k: v.clone() for k, v in one.items()}}, path)
    assert same(load_network(path), one)


def test_which_was_taken_is_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    torch.save({"ema": prefixed(lenet().state_dict(), "module.")}, path)
    load_network(path)
    assert "w.pth: took ema under module., 10 tensors" in caplog.text


def test_a_network_that_nobody_described_is_found_by_what_is_usual(path: Path) -> None:
    """As a room written before read_state took keys does it; fit_state knows them."""
    state = lenet().state_dict()
    for saved in (prefixed(state, "model."), {"net": prefixed(state, "module._orig_mod.")}):
        torch.save(saved, path)
        network = LeNet(4, 4, 8, 8)
        fit_state(network, read_state(path), path)
        assert same(network, state)


def test_a_foreign_network_is_told_by_its_own_keys(path: Path) -> None:
    torch.save({"loss": torch.ones(1), "state_dict": nn.Linear(2, 2).state_dict()}, path)
    with pytest.raises(WeightsError, match="first keys are weight, bias"):
        load_network(path)
