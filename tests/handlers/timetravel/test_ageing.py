"""What is computed once, and what in batches that fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from handlers.runtime.errors import InternalError
from handlers.timetravel.ageing import AtOnce, show_ages, to_pixels
from handlers.timetravel.model import AgeingNetwork
from tests.handlers.timetravel.support import tiny

YEARS = torch.tensor([[10.0, 40.0, 90.0], [20.0, 20.0, 70.0]])


@pytest.fixture
def network() -> AgeingNetwork:
    return tiny()


@pytest.fixture
def faces() -> Tensor:
    torch.manual_seed(2)
    return torch.rand(2, 3, 32, 32) * 2 - 1


def calls(module: nn.Module) -> list[int]:
    """Return a list that gets the batch size of every call of ``module`` from now on."""
    sizes: list[int] = []
    module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def show(network: AgeingNetwork, faces: Tensor, years: Tensor, at_once: AtOnce) -> Tensor:
    with torch.inference_mode():
        return show_ages(network, faces, years, at_once)


SIZES = {4: [4, 2], 1: [1] * 6, 99: [6]}


@pytest.mark.parametrize("encoded", SIZES)
@pytest.mark.parametrize("painted", SIZES)
def test_what_knows_no_age_runs_once_an_image(
    network: AgeingNetwork, faces: Tensor, encoded: int, painted: int
) -> None:
    parts = (network.pretrained_encoder, network.encoder, network.decoder)
    seen = [calls(part) for part in parts]
    pictures = show(network, faces, YEARS, AtOnce(encoded, painted))
    assert pictures.shape == (2, 3, 16, 16, 3)
    assert seen == [[2], SIZES[encoded], SIZES[painted]]


def test_each_encoder_is_spared_before_a_picture_is_painted(
    network: AgeingNetwork, faces: Tensor
) -> None:
    painted = calls(network.decoder)
    told: list[tuple[nn.Module, int]] = []
    with torch.inference_mode():
        show_ages(
            network, faces, YEARS, AtOnce(4, 1), lambda part: told.append((part, len(painted)))
        )
    assert told == [(network.pretrained_encoder, 0), (network.encoder, 0)]
    assert len(painted) == 6


@pytest.mark.parametrize("painted", [1, 4])
def test_a_batch_gives_what_single_calls_give(
    network: AgeingNetwork, faces: Tensor, painted: int
) -> None:
    together = show(network, faces, YEARS, AtOnce(4, painted))
    for face, years, pictures in zip(faces, YEARS, together, strict=True):
        for year, picture in zip(years, pictures, strict=True):
            with torch.inference_mode():
                alone = to_pixels(network(face[None], year[None]))[0]
            assert farthest(alone, picture) <= 1
    # Of one age, but of batches of four and two, which are rounded otherwise on some processors.
    assert farthest(together[1, 0], together[1, 1]) <= 1
    assert farthest(together[0, 0], together[0, 2]) > 1


def farthest(one: Tensor, other: Tensor) -> float:
    """Return how many of 255 levels two pictures differ by, where they differ most."""
    return float((one.int() - other.int()).abs().max())


def test_what_left_half_precisions_range_is_no_picture(
    network: AgeingNetwork, faces: Tensor
) -> None:
    torch.nn.init.constant_(network.decoder.input.input, float("inf"))
    network.bfloat16()
    with pytest.raises(InternalError, match=r"NaN or infinities: it runs in bf16"):
        show(network, faces.bfloat16(), YEARS, AtOnce(4, 1))


@pytest.mark.parametrize(
    ("value", "pixel"), [(-1.0, 0), (1.0, 255), (-7.0, 0), (9.0, 255), (0.0, 127), (0.999, 254)]
)
def test_pixels_are_cut_off_not_rounded(value: float, pixel: int) -> None:
    pixels = to_pixels(torch.full((1, 3, 2, 2), value))
    assert set(pixels.flatten().tolist()) == {pixel}


def test_pixels_are_rows_of_colours() -> None:
    picture = torch.zeros(1, 3, 4, 5)
    picture[0, 0] = 1
    change: Callable[[Tensor], Tensor] = to_pixels
    assert change(picture).shape == (1, 4, 5, 3)
    assert change(picture)[0, 0, 0].tolist() == [255, 127, 127]
