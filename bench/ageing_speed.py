"""Time, page faults and memory of four ages at 1024 x 1024: ours, and a plain loop of four.

    .venv/bin/python -m bench.ageing_speed sam_ffhq_aging.pt [--rounds 3] [--threads 0]
    .venv/bin/python -m bench.ageing_speed made.pt --make    # random weights, the published layout

The real handler, from the picture's file to the array's bytes, and bench/ageing_reference.py, each
in a process of its own, take turns. Ratios are of medians. The two answers are compared.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench import ageing_reference
from bench.turns import Contender, serve_rounds
from handlers.timetravel.ageing import to_pixels
from tests.golden import synth
from tests.handlers.timetravel.support import CROPPED, EXAMPLE, GOLDEN, Pixels, ask, psnr, serve
from tests.support import ROOT

AGES = (25, 35, 55, 75)
OURS, PLAIN = "ours", "plain loop"
MEASURES = ("wall", "cpu", "system", "faults")


def make(path: Path) -> None:
    """Write random weights of the published layout, 2.3 GB; they paint no face."""
    shapes = json.loads((GOLDEN / "full_state_dict.json").read_text())
    average = torch.from_numpy(synth.array("latent_avg", [18, 512]))
    state = synth.make_state(shapes, torch=True)
    torch.save({"state_dict": state, "latent_avg": average, "opts": {"output_size": 1024}}, path)


def ours(weights: Path, threads: int) -> Callable[[], Pixels]:
    """Return a call of the handler, loaded as a worker loads it."""
    os.environ["TS_CONFIG_FILE"] = str(ROOT / "config.properties")  # allows 16 MB out
    handler = serve(weights.resolve(), threads=threads)
    picture = EXAMPLE.read_bytes()

    def run() -> Pixels:
        answer = ask(handler, picture, **CROPPED, X_Marquee_Ages=",".join(map(str, AGES)))
        if answer.status != 200:
            raise SystemExit(answer.body.decode())
        strip: Pixels = np.load(io.BytesIO(answer.body))
        return strip

    return run


def plain(weights: Path, threads: int) -> Callable[[], Pixels]:
    """Return a call of the plain loop, all weights in memory, as its authors load them."""
    if threads:
        torch.set_num_threads(threads)
    content = torch.load(weights, map_location="cpu", weights_only=True)
    state, average = content["state_dict"], content["latent_avg"]

    def run() -> Pixels:
        face = Image.open(EXAMPLE).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(face)).permute(2, 0, 1)[None].float().div(255)
        x = x.sub(0.5).div(0.5)
        with torch.no_grad():
            aged = [to_pixels(ageing_reference.show(state, average, x, age))[0] for age in AGES]
        side = aged[0].shape[0]
        first = np.asarray(face.resize((side, side), Image.Resampling.BICUBIC))
        return np.concatenate([first, *(picture.numpy() for picture in aged)], axis=1)

    return run


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Let both take turns, then print the ratios."""
    command = [sys.executable, "-m", "bench.ageing_speed", str(options.weights)]
    command += ["--threads", str(options.threads), "--inside"]
    pictures = [folder / f"{name}.npy" for name in (OURS, PLAIN)]
    contenders = [
        Contender(name, [*command, name, "--picture", str(picture)])
        for name, picture in zip((OURS, PLAIN), pictures, strict=True)
    ]
    mine, other = contenders
    for _ in range(options.rounds):
        for contender in contenders:
            contender.round()
    for contender in contenders:
        contender.end()
    ratios = [f"{what} {mine.median(what) / other.median(what):.2f}" for what in MEASURES]
    size = options.weights.stat().st_size
    memory = [f"{what} {mine.median(what) / size:.2f} x the weights" for what in ("peak", "rest")]
    print("ours / plain loop:", ", ".join(ratios))  # noqa: T201
    print("ours:", ", ".join(memory), f"; load of the machine {os.getloadavg()[0]:.1f}")  # noqa: T201
    a, b = map(np.load, pictures)
    farthest = np.abs(a.astype(int) - b).max()
    print(f"the answers: {psnr(a, b):.1f} dB, at most {farthest} levels apart")  # noqa: T201


def main() -> None:
    """Compare, or be one of the two that are compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--make", action="store_true", help="write random weights first")
    parser.add_argument("--inside", choices=(OURS, PLAIN), help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run = (ours if options.inside == OURS else plain)(options.weights, options.threads)
        np.save(options.picture, run())
        serve_rounds(run)
        return
    if options.make:
        make(options.weights)
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder))


if __name__ == "__main__":
    main()
