import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from handlers.runtime.weights import WeightsError, fit_state, read_content, read_state


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def same(state: dict[str, torch.Tensor]) -> bool:
    torch.manual_seed(0)
    return torch.equal(state["0.weight"], network().state_dict()["0.weight"])


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return network().state_dict()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("wrap", [None, "state_dict", "model", "net"])
def test_state_dicts_in_both_formats_and_wrapped(
    tmp_path: Path, state: dict[str, torch.Tensor], new_format: bool, wrap: str | None
) -> None:
    path = tmp_path / "w.pth"
    torch.save({wrap: state} if wrap else state, path, _use_new_zipfile_serialization=new_format)
    assert same(read_state(path))


def test_the_prefix_of_several_gpus_goes(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "w.pth"
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    assert set(read_state(path)) == set(state)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle-was-run",)


def test_no_code_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth: not a plain state dict"):
        read_state(tmp_path / "w.pth")
    assert not (tmp_path / "pickle-was-run").exists()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.95])
def test_truncated_files(
    tmp_path: Path, state: dict[str, torch.Tensor], new_format: bool, part: float
) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path, _use_new_zipfile_serialization=new_format)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(WeightsError, match=r"w\.pth"):
        read_state(path)


def test_missing_file_and_things_that_are_no_state(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weight file"):
        read_state(tmp_path / "w.pth")
    for thing in ([1], {}, {"a": 1}):
        torch.save(thing, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=r"expected"):
            read_state(tmp_path / "w.pth")


def test_what_does_not_fit_is_named_with_its_shapes(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    state["0.weight"] = torch.zeros(9, 3)
    state["extra"] = state.pop("0.bias")
    with pytest.raises(WeightsError) as refused:
        fit_state(network(), state, tmp_path / "w.pth")
    message = str(refused.value)
    assert "w.pth" in message
    assert "0.weight should be (4, 3) and is (9, 3)" in message
    assert "1 missing: 0.bias" in message
    assert "1 unknown: extra" in message


def test_a_long_list_of_keys_is_cut(tmp_path: Path) -> None:
    many = {f"key{i}": torch.zeros(1) for i in range(50)}
    with pytest.raises(WeightsError, match="and 45 more"):
        fit_state(network(), many, tmp_path / "w.pth")


def test_assigned_tensors_are_not_copied(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, tmp_path / "w.pth")
    mapped = read_state(tmp_path / "w.pth")
    with torch.device("meta"):
        empty = network()
    fit_state(empty, mapped, tmp_path / "w.pth", assign=True)
    assert same(empty.state_dict())
    for key, value in empty.state_dict().items():
        assert value.data_ptr() == mapped[key].data_ptr()


def test_what_lies_beside_the_state(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    saved = {"state_dict": state, "opts": Namespace(size=3)}
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="not a plain state dict"):
        read_content(tmp_path / "w.pth")
    content = read_content(tmp_path / "w.pth", allowed=[Namespace])
    assert content["opts"].size == 3
    with pytest.raises(WeightsError, match="not a plain state dict"):
        read_content(tmp_path / "w.pth")
