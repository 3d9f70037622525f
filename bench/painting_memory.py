"""Peak memory and time of painting a 24-megapixel photo at its own size.

    .venv/bin/python -m bench.painting_memory [--weights FILE] [--width 6000] [--height 4000]

Runs the real handler in a process of its own, from file bytes to JPEG bytes.
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

from tests.support import ROOT

DEMO = ROOT / "handlers" / "inkwash" / "demo" / "latest_net_G.pth"


def photo(width: int, height: int) -> bytes:
    """The sample photo, enlarged: a JPEG of ``width`` x ``height``."""
    stream = io.BytesIO()
    with Image.open(ROOT / "handlers" / "inkwash" / "example.jpg") as sample:
        sample.resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def paint(weights: Path, width: int, height: int) -> None:
    """Paint in this process and print seconds and peak memory."""
    from handlers.inkwash.handler import InkwashHandler  # noqa: PLC0415
    from handlers.runtime.exchange import Exchange  # noqa: PLC0415

    handler = InkwashHandler()
    handler.initialize(
        SimpleNamespace(
            model_name="inkwash",
            manifest={"model": {"serializedFile": str(weights)}},
            model_yaml_config={},
            metrics=None,
            system_properties={"model_dir": str(weights.parent), "gpu_id": None},
        )
    )
    exchange = Exchange(
        {"body": photo(width, height)}, {"X-Marquee-Size": "0", "Accept": "image/jpeg"}
    )
    start = time.perf_counter()
    handler.answer([exchange])
    seconds = time.perf_counter() - start
    answer = exchange.answer
    if answer is None or answer.status != 200:
        sys.exit(str(answer))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    raw = width * height * 3
    print(  # noqa: T201
        f"{width} x {height}: {seconds:.0f} s, peak {peak / 2**30:.2f} GiB, "
        f"{peak / raw:.0f} times the photo's own {raw / 2**20:.0f} MiB"
    )


def main() -> None:
    """Paint in a fresh process, so that its peak is the painting's own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=DEMO)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        paint(options.weights, options.width, options.height)
        return
    subprocess.run(
        [sys.executable, "-m", "bench.painting_memory", "--inside", *sys.argv[1:]], check=True
    )


if __name__ == "__main__":
    main()
