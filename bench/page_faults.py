"""Page faults, system time and memory of large requests, with freed memory kept and without.

    .venv/bin/python -m bench.page_faults [inkwash rotifer smoke] [--rounds 5]

Each model as published, with random weights: a photo of 1920 x 1080, a darknet-53 detector at 832,
a tile of 1024. What a handler asks for by ``reuses_memory`` is switched on in one process and off
in another, which take turns.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.turns import Contender, serve_rounds
from handlers.inkwash.handler import InkwashHandler
from handlers.rotifer.cfg import read_cfg
from handlers.rotifer.handler import RotiferHandler
from handlers.rotifer.model import Darknet
from handlers.runtime.exchange import Exchange
from handlers.smoke.handler import SmokeHandler
from tests.golden import synth
from tests.handlers.loading import load
from tests.handlers.rotifer.support import random_weights
from tests.support import GOLDEN, ROOT

HANDLERS = ROOT / "handlers"
ON, OFF = "kept", "as it is"
MEASURES = ("wall", "cpu", "system", "faults", "peak", "rest")
# Filters and residual units of darknet-53's stages.
STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))


def photo() -> bytes:
    """Return a JPEG of 1920 x 1080."""
    stream = io.BytesIO()
    with Image.open(HANDLERS / "inkwash" / "example.jpg") as sample:
        sample.resize((1920, 1080), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def tile() -> bytes:
    """Return six bands of 1024 x 1024 as an array."""
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).integers(0, 256, (1024, 1024, 6), np.uint8))
    return stream.getvalue()


def darknet53(side: int = 832) -> str:
    """Return a ``.cfg`` with darknet-53 and a head of one scale, for ``side`` pixels a side."""

    def convolution(filters: int, size: int, stride: int = 1, more: str = "leaky") -> str:
        normalized = "batch_normalize=1\n" if more == "leaky" else ""
        return (
            f"[convolutional]\n{normalized}filters={filters}\nsize={size}\nstride={stride}\n"
            f"pad=1\nactivation={more}\n"
        )

    unit = "[shortcut]\nfrom=-3\nactivation=linear\n"
    text = f"[net]\nwidth={side}\nheight={side}\nchannels=3\n" + convolution(32, 3)
    for filters, units in STAGES:
        text += convolution(filters, 3, 2)
        text += (convolution(filters // 2, 1) + convolution(filters, 3) + unit) * units
    anchors = "anchors=10,13, 16,30, 33,23"
    return (
        text
        + convolution(30, 1, more="linear")
        + f"[yolo]\nmask=0,1,2\n{anchors}\nclasses=5\nnum=3\n"
    )


def inkwash(folder: Path) -> tuple[InkwashHandler, bytes, dict[str, str]]:
    """Return the handler, loaded, a request's body and its headers."""
    spec = json.loads((GOLDEN / "inkwash_state_dict.json").read_text())
    torch.save(synth.make_state(spec, torch=True), folder / "net.pth")
    headers = {"X-Marquee-Size": "0", "Accept": "image/jpeg"}
    return load(InkwashHandler(), folder / "net.pth", **ALL_CORES), photo(), headers


def rotifer(folder: Path) -> tuple[RotiferHandler, bytes, dict[str, str]]:
    """The same."""
    (folder / "rotifer.cfg").write_text(darknet53())
    for kind in ("data", "names"):
        source = HANDLERS / "rotifer" / "demo" / f"rotifer.{kind}"
        (folder / source.name).write_bytes(source.read_bytes())
    network = Darknet(read_cfg(folder / "rotifer.cfg"))
    random_weights(network, folder / "rotifer.weights")
    body = (HANDLERS / "rotifer" / "example.png").read_bytes()
    return load(RotiferHandler(), folder / "rotifer.weights", **ALL_CORES), body, {}


def smoke(folder: Path) -> tuple[SmokeHandler, bytes, dict[str, str]]:
    """The same; the demo has the published sizes."""
    weights = folder / "smoke.pth"
    weights.write_bytes((HANDLERS / "smoke" / "demo" / "smoke.pth").read_bytes())
    headers = {"Accept": "application/x-npy"}
    return load(SmokeHandler(), weights, **ALL_CORES), tile(), headers


ALL_CORES: dict[str, Any] = {"marquee": {"threads": 0}}
MODELS: dict[str, Callable[[Path], tuple[Any, bytes, dict[str, str]]]] = {
    "inkwash": inkwash,
    "rotifer": rotifer,
    "smoke": smoke,
}
CLASSES = {"inkwash": InkwashHandler, "rotifer": RotiferHandler, "smoke": SmokeHandler}


def be(model: str, setting: str, folder: Path) -> None:
    """Answer rounds of one model with one setting."""
    CLASSES[model].reuses_memory = setting == ON
    handler, body, headers = MODELS[model](folder)

    def run() -> None:
        exchange = Exchange({"body": body}, headers)
        handler.answer([exchange])
        answer = exchange.answer
        if answer is None or answer.status != 200:
            sys.exit(str(answer and answer.body[:300]))

    run()
    serve_rounds(run)


def compare(model: str, rounds: int) -> None:
    """Let both settings take turns, then print the ratios."""
    command = [sys.executable, "-m", "bench.page_faults", model, "--inside"]
    contenders = [Contender(f"{model} {name}", [*command, name]) for name in (ON, OFF)]
    for _ in range(rounds):
        for contender in contenders:
            contender.round()
    kept, as_is = contenders
    for contender in contenders:
        contender.end()
    ratios = [f"{what} {kept.median(what) / as_is.median(what):.2f}" for what in MEASURES]
    print(f"{model}, kept / as it is:", ", ".join(ratios), flush=True)  # noqa: T201


def main() -> None:
    """Compare, or be one of the two that are compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", choices=(ON, OFF), help=argparse.SUPPRESS)
    options = parser.parse_args()
    for model in options.models or MODELS:
        if options.inside:
            with tempfile.TemporaryDirectory() as folder:
                be(model, options.inside, Path(folder))
        else:
            compare(model, options.rounds)


if __name__ == "__main__":
    main()
