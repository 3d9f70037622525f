import datetime
import os
import pickle
import tarfile
import zipfile
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from handlers.runtime.pickled import StandIn
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
    content = read_content(tmp_path / "w.pth", allowed=[Namespace])
    assert content["opts"].size == 3
    unknown = read_content(tmp_path / "w.pth")["opts"]
    assert isinstance(unknown, StandIn)
    assert not vars(unknown)
    assert unknown.named == "argparse.Namespace"


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as error:
        read_state(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ")
    assert "weights_only" not in said
    assert said.isprintable()
    return said


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(x)
        return out


@pytest.mark.parametrize("new_format", [True, False])
def test_a_whole_pickled_network_is_named_with_what_to_save(
    tmp_path: Path, new_format: bool
) -> None:
    path = tmp_path / "net.pth"
    torch.save(Net(), path, _use_new_zipfile_serialization=new_format)
    said = refused(path)
    assert "Net" in said
    assert "torch.save(network.state_dict(), path)" in said
    torch.save({"model": Net(), "epoch": 3}, path, _use_new_zipfile_serialization=new_format)
    assert "Net" in refused(path)


def test_a_scripted_network_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"net/{name}", b"")
    assert "is a TorchScript program" in refused(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 99\n", "git lfs pull"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80\x01", "an ONNX network"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "a gzip file"),
        (b"BZh91AY&SY", "unpack it"),
        (b"\x93NUMPY\x01\x00", "a numpy array"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (b"{}", "text"),
        (b"", "an empty file"),
        (b"\x80", "is text, not a state dict"),
        (b"\x08", "neither a PyTorch file nor a safetensors file"),
        (b"\x1b[2Jhello" * 9, "neither a PyTorch file nor a safetensors file"),
        (bytes(range(1, 200)), "neither a PyTorch file nor a safetensors file"),
        (b"\x00\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00" + bytes(40), "a darknet weight file"),
    ],
)
def test_other_files_are_named_for_what_they_are(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    assert words in refused(tmp_path / "w.pth")


def test_other_pickles_tars_and_zips_are_named(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"a": 1}))
    assert "is a plain pickle" in refused(path)
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    assert "is a tar file, not a state dict; unpack it" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best.pth", b"")
    assert "is a zip file, not a state dict; unpack it" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"")
    assert "is a numpy archive" in refused(path)
    torch.save(state, path)
    saved = path.read_bytes()
    path.write_bytes(saved[:-100])
    assert "truncated" in refused(path)
    # The version of zip that is needed to read the first entry of the directory.
    at = saved.index(b"PK\x01\x02") + 6
    path.write_bytes(saved[:at] + b"\xff" + saved[at + 1 :])
    assert "truncated" in refused(path)


@pytest.mark.parametrize("new_format", [True, False])
def test_objects_of_other_classes_beside_the_weights_do_no_harm(
    tmp_path: Path, state: dict[str, torch.Tensor], new_format: bool
) -> None:
    beside = {
        "best": np.float64(0.5),
        "args": Namespace(lr=1),
        "path": tmp_path,
        "when": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
        "counts": defaultdict(int, {"a": 1}),
        "epoch": 3,
    }
    path = tmp_path / "w.pth"
    saved = beside | {"state_dict": state}
    torch.save(saved, path, _use_new_zipfile_serialization=new_format)
    assert same(read_state(path, [*state]))


def test_weights_that_are_no_numbers_are_named(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    state["0.weight"][1, 2] = float("nan")
    state["1.running_var"][0] = float("inf")
    with pytest.raises(WeightsError, match=r"w\.pth: NaN or infinite.*0\.weight, 1\.running_var"):
        fit_state(network(), state, tmp_path / "w.pth")


def test_a_mask_may_be_infinite(tmp_path: Path) -> None:
    made = network()
    made.register_buffer("mask", torch.full((2, 2), -torch.inf))
    fit_state(made, made.state_dict(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(4, 3).to_sparse(),
        torch.ones(4, 3).to(torch.complex64),
        torch.ones(4, 3, device="meta"),
    ],
    ids=["sparse", "complex", "meta"],
)
def test_tensors_that_cannot_be_copied_are_named(
    tmp_path: Path, state: dict[str, torch.Tensor], odd: torch.Tensor
) -> None:
    with pytest.raises(WeightsError, match=r"w\.pth: .*1 no plain numbers: 0\.weight"):
        fit_state(network(), state | {"0.weight": odd}, tmp_path / "w.pth")


def test_counters_that_only_training_reads_may_be_missing(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    del state["1.num_batches_tracked"]
    made = network()
    fit_state(made, state, tmp_path / "w.pth")
    assert same(made.state_dict())
