"""How long smoke's JSON takes, as a share of its network: with orjson and without, in turns.

    .venv/bin/python -m bench.json_share [--rounds 5]

One tile (1, 256, 256, 6) as a nested list, of whole numbers as the original's clients send them
and of random floats, answered as a nested list; the archive is that of the model store.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.models import load
from tests.support import ROOT

SHAPE = (1, 256, 256, 6)


def share(handler: Any, body: bytes) -> float:
    """Return the seconds of reading and printing over the seconds of the network."""
    from handlers.runtime.exchange import Exchange  # noqa: PLC0415

    exchange = Exchange({"body": body}, {"content-type": "application/json"})
    handler.answer([exchange])
    seconds = exchange.watch.seconds
    return (seconds["decode"] + seconds["encode"]) / seconds["model"]


def main() -> None:
    """Print the median shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    random = np.random.default_rng(0)
    bodies = {
        "whole numbers": random.integers(0, 256, SHAPE).tolist(),
        "floats": (random.random(SHAPE) * 255).tolist(),
    }
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(ROOT / "model_store" / "smoke-1.0.mar") as packed:
            packed.extractall(folder)
        handler = load(Path(folder))
        for name, value in bodies.items():
            body = json.dumps(value).encode()
            fast, plain = [], []
            for _ in range(rounds):
                fast.append(share(handler, body))
                with patch("handlers.runtime.jsontext.fast", return_value=None):
                    plain.append(share(handler, body))
            print(  # noqa: T201
                f"{name} ({len(body) / 1e6:.1f} MB): {statistics.median(fast):.2f} of the "
                f"network's time with orjson, {statistics.median(plain):.2f} without"
            )


if __name__ == "__main__":
    main()
