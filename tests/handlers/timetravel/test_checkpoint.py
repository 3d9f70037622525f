"""Every shape the published file may come in, and files that are something else."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from handlers.runtime.weights import WeightsError
from handlers.timetravel.checkpoint import load_network
from handlers.timetravel.model import AgeingNetwork
from tests.handlers.timetravel.support import content, tiny


def painted(network: AgeingNetwork) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.inference_mode():
        picture: torch.Tensor = network(torch.rand(1, 3, 32, 32), torch.tensor([40.0]))
        return picture


def test_what_was_saved_is_loaded(checkpoint: Path) -> None:
    network = load_network(checkpoint)
    assert network.sizes == tiny().sizes
    assert not network.training
    assert torch.equal(painted(network), painted(tiny()))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_formats(tmp_path: Path, zipped: bool, prefix: str) -> None:
    path = tmp_path / "sam.pt"
    saved = content(tiny())
    saved["state_dict"] = {prefix + key: t for key, t in saved["state_dict"].items()}
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(painted(load_network(path)), painted(tiny()))


@pytest.mark.parametrize(
    ("opts", "start"),
    [
        ({}, "encoded"),
        ({"start_from_latent_avg": True}, "average"),
        ({"start_from_encoded_w_plus": False}, "nothing"),
    ],
)
@pytest.mark.parametrize("kind", [dict, Namespace])
def test_the_options_say_what_the_codes_start_from(
    tmp_path: Path, opts: dict[str, Any], start: str, kind: type
) -> None:
    path = tmp_path / "sam.pt"
    saved = content(tiny(), **opts)
    saved["opts"] = kind(**saved["opts"])
    torch.save(saved, path)
    assert load_network(path).sizes.start == start


def test_without_options_the_published_ones_hold(tmp_path: Path) -> None:
    path = tmp_path / "sam.pt"
    saved = content(tiny())
    del saved["opts"]
    torch.save(saved, path)
    assert load_network(path).sizes.start == "encoded"


@pytest.mark.parametrize("shape", [(8,), (1, 8), (6, 8)])
def test_shapes_of_the_average(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "sam.pt"
    average = torch.randn(shape)
    torch.save(content(tiny()) | {"latent_avg": average}, path)
    network, faces = load_network(path), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = network.pretrained_encoder(faces) + average
        assert torch.equal(network.identity(faces), expected)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle-was-run",)


def test_no_code_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content(tiny(), exp_dir=Evil()), tmp_path / "sam.pt")
    with pytest.raises(WeightsError, match=r"sam\.pt: not a plain state dict"):
        load_network(tmp_path / "sam.pt")
    assert not (tmp_path / "pickle-was-run").exists()


def without(key: str) -> dict[str, Any]:
    saved = content(tiny())
    del saved["state_dict"][key]
    return saved


def changed(key: str, value: torch.Tensor) -> dict[str, Any]:
    saved = content(tiny())
    saved["state_dict"][key] = value
    return saved


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ([1, 2], "expected a dict with state_dict, latent_avg and opts, found list"),
        (content(tiny())["state_dict"], "found one with encoder"),
        (without("encoder.body.1.res_layer.3.weight"), "1 missing: encoder.body.1.res_layer.3"),
        (without("decoder.conv1.conv.weight"), "conv1.conv.weight' is missing"),
        (without("encoder.body.2.res_layer.1.weight"), "encoder has"),
        (without("encoder.styles.5.linear.weight"), r"encoder has \(4, 4, 32, 5, 8\).*expected"),
        (without("pretrained_encoder.input_layer.0.weight"), "input_layer.0.weight' is missing"),
        (changed("decoder.noises.noise_0", torch.zeros(1, 1, 5, 5)), r"is \(1, 1, 5, 5\)"),
        (changed("decoder.conv1.conv.weight", torch.zeros(8)), "of another rank"),
        (changed("encoder.more", torch.zeros(2)), "1 unknown: encoder.more"),
        (content(tiny()) | {"latent_avg": torch.zeros(3, 8)}, r"latent_avg is \(3, 8\), expected"),
        (content(tiny()) | {"latent_avg": 0.0}, "latent_avg is float"),
        (content(tiny()) | {"opts": 7}, "opts is int"),
        (content(tiny()) | {"state_dict": {"encoder.a": 1}}, "styles.0.linear.weight' is missing"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, saved: object, words: str) -> None:
    path = tmp_path / "other.pt"
    torch.save(saved, path)
    with pytest.raises(WeightsError, match=rf"other\.pt: .*{words}"):
        load_network(path)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.98])
def test_truncated(checkpoint: Path, part: float) -> None:
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(WeightsError, match=r"sam\.pt: .*(damaged|plain|empty)"):
        load_network(checkpoint)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weight file"):
        load_network(tmp_path / "sam.pt")
