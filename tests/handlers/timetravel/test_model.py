"""The network against the original one's values, at the small and the published sizes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from handlers.timetravel.align import Floats
from handlers.timetravel.decoder import Decoder, DecoderSizes, StyledConv
from handlers.timetravel.encoder import EncoderSizes
from handlers.timetravel.handler import TimetravelHandler
from handlers.timetravel.model import AgeingNetwork, Sizes
from tests.handlers.timetravel.support import (
    CROPPED,
    GOLDEN,
    ask,
    make_state,
    psnr,
    serve,
    tiles,
    tiny,
)

AGES = (25, 35, 55, 75)
SMALL = json.loads((GOLDEN / "small_state_dict.json").read_text())
FULL = json.loads((GOLDEN / "full_state_dict.json").read_text())


def published(channels: tuple[int, ...]) -> Sizes:
    """The published sizes, but for the picture's."""
    decoder = DecoderSizes(512, channels, mapping_layers=8)
    encoder = EncoderSizes(
        4, 256, (64, 128, 256, 512), (3, 4, 14, 3), decoder.styles, decoder.style_width
    )
    return Sizes(encoder, decoder, replace(encoder, channels=3))


WIDE = (512,) * 5
SMALL_SIZES = published(WIDE)
FULL_SIZES = published((*WIDE, 256, 128, 64, 32))


@pytest.fixture(scope="module")
def vectors() -> dict[str, Floats]:
    with np.load(GOLDEN / "small.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def golden(face_checkpoint: Path) -> TimetravelHandler:
    """The handler with the small golden network, from a file as published (1.3 GB)."""
    return serve(face_checkpoint)


@pytest.mark.parametrize(("sizes", "shapes"), [(SMALL_SIZES, SMALL), (FULL_SIZES, FULL)])
def test_the_state_dict_is_the_original_one(sizes: Sizes, shapes: dict[str, list[int]]) -> None:
    with torch.device("meta"):
        network = AgeingNetwork(sizes)
    assert {key: list(t.shape) for key, t in network.state_dict().items()} == shapes


def test_sizes_come_from_the_file(golden: TimetravelHandler) -> None:
    assert isinstance(golden.network, AgeingNetwork)
    assert golden.network.sizes == SMALL_SIZES
    assert (golden.network.face_side, golden.network.picture_side) == (256, 64)


def test_paints_what_the_original_paints(
    golden: TimetravelHandler,
    vectors: dict[str, Floats],
) -> None:
    face = (GOLDEN / "input.png").read_bytes()
    strip = tiles(ask(golden, face, **CROPPED), side=64)
    assert len(strip) == 1 + len(AGES)
    for age, tile in zip(AGES, strip[1:], strict=True):
        assert psnr(tile, vectors[f"img{age}"]) > 60


def mapped(path: Path) -> list[range]:
    """Return the addresses at which this process has ``path`` mapped (Linux)."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(str(path))]
    return [range(int(start, 16), int(end, 16)) for start, end in spans]


def test_the_weights_stay_in_the_file(golden: TimetravelHandler) -> None:
    """No copy of them is made, neither by loading nor by the first request."""
    spans = mapped(golden.weights)
    for name, value in golden.network.state_dict().items():
        if value.dim() > 0:
            assert any(value.data_ptr() in span for span in spans), name


def test_the_decoder_alone(vectors: dict[str, Floats]) -> None:
    shapes = {key: shape for key, shape in SMALL.items() if key.startswith("decoder.")}
    decoder = Decoder(SMALL_SIZES.decoder).eval()
    state = make_state(shapes, torch=True)
    decoder.load_state_dict({key.removeprefix("decoder."): t for key, t in state.items()})
    codes = torch.from_numpy(np.stack([vectors[f"w{age}"] for age in AGES]))
    with torch.inference_mode():
        painted = decoder(codes).numpy()
    for age, picture in zip(AGES, painted, strict=True):
        np.testing.assert_allclose(picture, vectors[f"out{age}"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("upsample", [False, True])
def test_a_lone_picture_is_convolved_as_one_of_several(upsample: bool) -> None:
    """The style scales the weights for one picture, the pixels for several."""
    torch.manual_seed(3)
    layer = StyledConv(6, 4, 8, upsample=upsample).double()
    torch.nn.init.constant_(layer.noise.weight, 0.5)
    torch.nn.init.normal_(layer.activate.bias)
    side = 10 if upsample else 5
    noise = torch.randn(1, 1, side, side, dtype=torch.float64)
    x, styles = torch.randn(3, 6, 5, 5).double(), torch.randn(3, 8).double()
    with torch.inference_mode():
        together = layer(x, styles, noise)
        alone = torch.cat([layer(x[i : i + 1], styles[i : i + 1], noise) for i in range(3)])
    torch.testing.assert_close(alone, together)
    assert together.shape == (3, 4, side, side)


def test_what_is_fixed_changes_nothing_and_is_not_stored() -> None:
    network, faces, years = tiny(), torch.rand(2, 3, 32, 32), torch.tensor([10.0, 80.0])
    keys = [*network.state_dict()]
    with torch.inference_mode():
        before = network(faces, years)
        network.decoder.fix()
        assert torch.equal(network(faces, years), before)
    assert [*network.state_dict()] == keys


def test_layers_may_write_over_what_they_were_given_and_still_learn() -> None:
    """Gradients against differences of the loss, as the layers work in place."""
    network, faces = tiny().double(), torch.rand(1, 3, 32, 32, dtype=torch.float64)
    names = (
        "decoder.convs.0.conv.weight",
        "decoder.convs.1.activate.bias",
        "encoder.body.0.res_layer.5.fc2.weight",
        "encoder.styles.0.convs.0.bias",
    )
    weights = [network.get_parameter(name) for name in names]

    def loss() -> Tensor:
        total: Tensor = network(faces, torch.tensor([30.0])).square().sum()
        return total

    for weight, slope in zip(weights, torch.autograd.grad(loss(), weights), strict=True):
        step = 1e-6 * torch.randn_like(weight)
        with torch.no_grad():
            weight.add_(step)
            above = loss()
            weight.sub_(2 * step)
            below = loss()
            weight.add_(step)
        torch.testing.assert_close((above - below) / 2, (slope * step).sum(), rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("start", ["encoded", "average", "nothing"])
def test_what_the_codes_start_from(start: str) -> None:
    network = tiny(start)
    faces = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        base = network.identity(faces)
        alone = network.pretrained_encoder(faces)
    expected = {
        "encoded": alone + network.latent_avg,
        "average": network.latent_avg.expand(2, -1, -1),
        "nothing": torch.zeros(2, 6, 8),
    }
    assert torch.equal(base, expected[start])


def test_the_age_is_told_in_hundreds_of_years() -> None:
    network = tiny()
    faces = torch.rand(2, 3, 32, 32)
    planes = torch.cat([torch.full((1, 1, 32, 32), a) for a in (0.25, 0.75)])
    with torch.inference_mode():
        told = network.age(faces, torch.tensor([25.0, 75.0]))
        assert torch.equal(told, network.encoder(torch.cat([faces, planes], dim=1)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_number_formats(dtype: torch.dtype) -> None:
    network, faces, years = tiny(), torch.rand(2, 3, 32, 32), torch.tensor([10.0, 80.0])
    with torch.inference_mode():
        exact = network(faces, years)
        other = network.to(dtype)(faces.to(dtype), years)
    assert other.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float64 else 0.02 * float(exact.abs().max()) + 0.05
    torch.testing.assert_close(other.float(), exact, rtol=0, atol=tolerance)
