"""The five models as published, by size: weights (random where there are none), body, headers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.ageing_speed import make
from bench.page_faults import darknet53, photo, tile
from handlers.rotifer.cfg import read_cfg
from handlers.rotifer.model import Darknet
from tests.golden import synth
from tests.handlers.rotifer.support import random_weights
from tests.support import GOLDEN, ROOT

HANDLERS = ROOT / "handlers"
JPEG, PNG, NPY = "image/jpeg", "image/png", "application/x-npy"


@dataclass(frozen=True)
class Case:
    """A model at a size.

    Attributes:
        model: the room.
        archive: a name for it and its weights; cases may share one.
        body: makes the request's body.
        headers: of the request.
        weights: writes the model's weight files to a folder; without it the demo's are served.
        clients: that ask at once, in turns.
    """

    model: str
    archive: str
    body: Callable[[], bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    weights: Callable[[Path], None] | None = None
    clients: tuple[int, ...] = (1, 2, 8)


def _example(name: str) -> Callable[[], bytes]:
    return (HANDLERS / name).read_bytes


def _painter(folder: Path) -> None:
    spec = json.loads((GOLDEN / "inkwash_state_dict.json").read_text())
    torch.save(synth.make_state(spec, torch=True), folder / "latest_net_G.pth")


def _detector(side: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "rotifer.cfg").write_text(darknet53(side))
        for kind in ("data", "names"):
            shutil.copy(HANDLERS / "rotifer" / "demo" / f"rotifer.{kind}", folder)
        network = Darknet(read_cfg(folder / "rotifer.cfg"))
        random_weights(network, folder / "rotifer.weights")

    return write


def _ageing(folder: Path) -> None:
    make(folder / "sam_ffhq_aging.pt")


AGES = {"X-Marquee-Align": "false", "X-Marquee-Ages": "25,35,55,75", "Accept": NPY}
PAINTED, PICTURE = "inkwash/example.jpg", "rotifer/example.png"
CASES = {
    "inkwash-256": Case("inkwash", "inkwash", _example(PAINTED), {"Accept": PNG}, _painter),
    "inkwash-1080p": Case(
        "inkwash",
        "inkwash",
        photo,
        {"Accept": PNG, "X-Marquee-Size": "0"},
        _painter,
        clients=(1, 2),
    ),
    "rotifer-416": Case("rotifer", "rotifer-416", _example(PICTURE), {}, _detector(416)),
    "rotifer-832": Case("rotifer", "rotifer-832", _example(PICTURE), {}, _detector(832)),
    "smoke-256-json": Case("smoke", "smoke", _example("smoke/example.tif"), {}),
    "smoke-256-npy": Case("smoke", "smoke", _example("smoke/example.tif"), {"Accept": NPY}),
    "smoke-1024": Case("smoke", "smoke", tile, {"Accept": NPY}, clients=(1, 2)),
    "timetravel-1024": Case(
        "timetravel",
        "timetravel",
        _example("timetravel/example.png"),
        AGES,
        _ageing,
        clients=(1, 2),
    ),
}
