"""Whole networks of each family: their shapes, batches, and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from handlers.rotifer.cfg import ConfigError, parse_cfg
from handlers.rotifer.model import Darknet
from handlers.rotifer.weights import load_weights
from tests.handlers.rotifer.support import built, random_weights


def conv(filters: int, size: int = 3, stride: int = 1, activation: str = "leaky") -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
        f"pad=1\nactivation={activation}\n"
    )


def pool(size: int, stride: int) -> str:
    return f"[maxpool]\nsize={size}\nstride={stride}\n"


def route(*layers: int, rest: str = "") -> str:
    return f"[route]\nlayers={','.join(map(str, layers))}\n{rest}"


OUT = "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nmask={}\nanchors=8,8, 14,20, 30,18, 60,60\nnum=4\nclasses=2\n"
REGION = "[region]\nanchors=1,1.5, 3,2\nnum=2\nclasses=2\ncoords=4\nsoftmax=1\n"

V2 = conv(8) + pool(2, 2) + conv(12) + pool(2, 2) + conv(16) + route(-3) + conv(4, 1)
V2 += "[reorg]\nstride=2\n" + route(-1, -4) + conv(12) + OUT + REGION
V3 = conv(8, 3, 2) + conv(4, 1) + conv(8) + "[shortcut]\nfrom=-3\nactivation=linear\n"
V3 += conv(12, 3, 2) + OUT + YOLO.format("2,3")
V3 += route(-3) + conv(6, 1) + "[upsample]\nstride=2\n" + route(-1, 3) + OUT + YOLO.format("0,1")
SPP = conv(8, 3, 2) + pool(5, 1) + route(-2) + pool(9, 1) + route(-4) + pool(13, 1)
SPP += route(-1, -3, -5, -6) + conv(8, 1) + OUT + YOLO.format("0,1")
V4 = conv(8, 3, 2, "mish") + route(-1, rest="groups=2\ngroup_id=1\n") + conv(4, 3, 1, "swish")
V4 += route(-1, -2) + "[avgpool]\n" + conv(8, 1, 1, "logistic") + "[scale_channels]\nfrom=-3\n"
V4 += conv(8, 1, 1, "logistic") + "[sam]\nfrom=-2\n[dropout]\nprobability=.5\n" + OUT
V4 += YOLO.format("0,1") + "scale_x_y=1.05\nnms_kind=greedynms\nbeta_nms=0.6\n[cost]\n"


def filled(text: str, folder: Path, width: int = 64, height: int = 32) -> Darknet:
    network = built(text, width, height)
    load_weights(network.named_layers(), random_weights(network, folder / "a.weights"))
    return network.eval()


@pytest.mark.parametrize(
    ("text", "cells"),
    [(V2, [(8, 16)]), (V3, [(8, 16), (16, 32)]), (SPP, [(16, 32)]), (V4, [(16, 32)])],
    ids=["v2", "v3", "spp", "v4"],
)
def test_families(text: str, cells: list[tuple[int, int]], tmp_path: Path) -> None:
    network = filled(text, tmp_path)
    pictures = torch.rand(8, 3, 32, 64)
    with torch.inference_mode():
        together = network(pictures)
        assert [tuple(head.shape) for head in together] == [(8, 14, *cell) for cell in cells]
        for index, picture in enumerate(pictures):
            for many, one in zip(together, network(picture[None]), strict=True):
                torch.testing.assert_close(many[index], one[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", [V2, V3, SPP, V4], ids=["v2", "v3", "spp", "v4"])
def test_no_output_is_kept_longer_than_needed(text: str, tmp_path: Path) -> None:
    """Every layer sees the sources that the cfg names, though others are freed on the way."""
    network = filled(text, tmp_path)
    outputs = {-1: torch.rand(1, 3, 32, 64)}
    with torch.inference_mode():
        for index, (layer, sources) in enumerate(zip(network.layers, network.sources, strict=True)):
            outputs[index] = layer(*(outputs[source] for source in sources))
        found = network(outputs[-1])
    kept = [outputs[i] for i, layer in enumerate(network.layers) if layer in network.heads]
    for one, other in zip(found, kept, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("text", "multiple"), [(V2, 4), (V3, 4), (SPP, 2), (V4, 2)])
def test_the_multiple_is_the_coarsest_cell(text: str, multiple: int) -> None:
    sections = parse_cfg("[net]\nwidth=64\nheight=32\n" + text, "a.cfg")
    assert Darknet(sections, (32 + multiple, 32)).size == (32 + multiple, 32)
    with pytest.raises(ConfigError, match=f"multiple of {multiple}, such as"):
        Darknet(sections, (33, 32))


def test_the_cfgs_own_size_may_be_any_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"\[route\]: the layers have unequal sizes"):
        built(V3, 62, 32)
    assert built(SPP, 63, 31).size == (63, 31)


def test_two_heads_share_their_classes() -> None:
    assert built(V3).classes == 2
