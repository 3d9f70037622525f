"""What the rotifer tests share: reference vectors, small networks, and a loaded handler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from handlers.rotifer.cfg import parse_cfg
from handlers.rotifer.handler import RotiferHandler
from handlers.rotifer.layers import Convolution, Scale
from handlers.rotifer.model import Darknet
from handlers.rotifer.weights import write_weights
from handlers.runtime.exchange import Answer, Exchange
from tests.handlers.loading import load

GOLDEN = Path(__file__).parents[2] / "golden" / "rotifer"
ROOM = Path(__file__).parents[3] / "handlers" / "rotifer"


def expected(name: str) -> Any:
    return json.loads((GOLDEN / f"expected_{name}.json").read_text())


def pixels(name: str) -> NDArray[np.uint8]:
    with Image.open(GOLDEN / name) as image:
        return np.asarray(image.convert("RGB"))


def golden_files(folder: Path, net: str) -> Path:
    """Lay the four files of a reference network out as an archive's root has them."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = {"cfg": net, "weights": net, "data": "rotifer", "names": "rotifer"}
    for kind, stem in sources.items():
        shutil.copyfile(GOLDEN / f"{stem}.{kind}", folder / f"rotifer.{kind}")
    return folder


def built(text: str, width: int = 32, height: int = 32) -> Darknet:
    """Build the network of some sections after [net], weights not filled."""
    head = f"[net]\nwidth={width}\nheight={height}\n"
    return Darknet(parse_cfg(head + text, "test.cfg"))


def random_weights(network: Darknet, path: Path, seed: int = 5) -> Path:
    """Write a weight file of random numbers that fits ``network``."""
    generator = torch.Generator().manual_seed(seed)
    blobs = []
    for layer in network.layers:
        if isinstance(layer, Convolution):
            weight = layer.convolution.get_parameter("weight")
            blobs.append(torch.randn(len(weight), generator=generator))
            norm = torch.rand(3, len(weight), generator=generator) + 0.5
            blobs += [norm] if layer.normalized else []
            blobs.append(torch.randn(weight.shape, generator=generator) * 0.1)
        elif isinstance(layer, Scale):
            blobs.append(torch.rand(3, len(layer.weight), generator=generator) + 0.5)
    write_weights(path, blobs, seen=1)
    return path


def loaded(folder: Path, **settings: Any) -> RotiferHandler:
    """Load the handler on the four files in ``folder``."""
    return load(RotiferHandler(), folder / "rotifer.weights", marquee=settings)


def ask(handler: RotiferHandler, body: bytes, **headers: str) -> Answer:
    """Send one raw body; underscores in header names stand for hyphens."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return answers(handler, [Exchange({"body": body}, named)])[0]


def answers(handler: RotiferHandler, exchanges: list[Exchange]) -> list[Answer]:
    """Answer a batch."""
    handler.answer(exchanges)
    found = [exchange.answer for exchange in exchanges if exchange.answer is not None]
    assert len(found) == len(exchanges)
    return found
