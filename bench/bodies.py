"""What large bodies cost: the runtime beside a handler that only counts, on one TorchServe.

    .venv/bin/python -m bench.bodies [--rounds 5] [--only "15 MB out"]

The model does nothing (bench/contenders/wide_handler.py): what is measured is Java, the sockets
and the runtime's reading, checking and writing. Both take turns. A worker's peak is how much more
memory it takes than before the request, over the body.
"""

from __future__ import annotations

import argparse
import base64
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from bench.contenders import torchserve
from bench.contenders.start import Asked, Setting, as_form
from bench.processes import Family, wait_until
from handlers.runtime.arrays import write_npy
from tests.support import ROOT

LARGE = 95_000_000
SETTINGS = ("max_response_size=150000000", "vmargs=-Xmx2g -XX:+ExitOnOutOfMemoryError")
NPY = {"Content-Type": "application/x-npy"}


@dataclass(frozen=True)
class Case:
    """A request to each of the two: ``wide`` is the runtime's, ``counting`` the plain handler's.

    Attributes:
        size: bytes of what is large, in or out.
        at_once: so many are sent at the same time.
    """

    name: str
    wide: Asked
    counting: Asked
    size: int
    at_once: int = 1


def cases() -> list[Case]:
    """Return all that is measured."""
    array = np.random.default_rng(1).integers(0, 255, LARGE, np.uint8)
    npy = write_npy(array)
    numbers = write_npy((array.view(np.int32) / 7).astype(np.float32))
    picture = (ROOT / "handlers/cifar/example.png").read_bytes()
    whole = write_npy(array[: LARGE // 4 * 3 - 128])
    text = json.dumps({"image": base64.b64encode(whole).decode()})
    small, plain = write_npy(array[:100]), {"Content-Type": "application/octet-stream"}
    form = as_form(npy)
    named = Asked(form.body.replace(b'name="picture"', b'name="data"', 1), form.headers)
    answer = Asked(small, NPY | {"Accept": "application/x-npy"})
    return [
        Case("15 MB out, npy", answer, Asked(small, plain | {"X-Times": "1"}), 15_000_000),
        Case("95 MB in, npy of uint8", Asked(npy, NPY), Asked(npy, plain), len(npy)),
        Case("95 MB in, npy of float32", Asked(numbers, NPY), Asked(numbers, plain), len(numbers)),
        Case(
            "95 MB in, PNG with bytes behind its end",
            Asked(picture + bytes(LARGE), {"Content-Type": "image/png"}),
            Asked(picture + bytes(LARGE), plain),
            LARGE,
        ),
        Case(
            "95 MB in, JSON with base64",
            Asked(text.encode(), {"Content-Type": "application/json"}),
            Asked(text.encode(), plain),
            len(text),
        ),
        Case("95 MB in, multipart", named, named, len(npy)),
    ]


def batches() -> list[Case]:
    """Return answers of the plain handler alone: one; and three, of which two share a batch.

    The two come while the worker is busy with the first.
    """
    asked = Asked(b"x", {"Content-Type": "application/octet-stream", "X-Times": "2"})
    return [
        Case(f"30 MB out, {count} at once", asked, asked, 30_000_000, count) for count in (1, 3)
    ]


class Both:
    """One TorchServe with both handlers, running."""

    def __init__(self, setting: Setting) -> None:
        folder = setting.own_folder("wide")
        torchserve.archive(folder, "wide")
        torchserve.archive(folder, "counting")
        start = torchserve.served(setting, "wide", "counting")
        with (folder / "config.properties").open("a") as config:
            config.write("\n".join(SETTINGS) + "\n")
        self.start, self.family = start, Family(start)
        if not wait_until(lambda: self._answers("wide") and self._answers("counting"), 120):
            sys.exit((folder / "output.txt").read_text()[-2000:])

    def _answers(self, name: str) -> bool:
        try:
            return self.ask(name, Asked(write_npy(np.zeros(9)), NPY)) > 0
        except (OSError, ConnectionError):
            return False

    def ask(self, name: str, asked: Asked) -> float:
        """Return the seconds until the whole answer is there."""
        address = urlsplit(self.start.url)
        connection = HTTPConnection(address.netloc, timeout=120)
        start = time.perf_counter()
        connection.request("POST", f"/predictions/{name}", asked.body, dict(asked.headers))
        answer = connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - start
        connection.close()
        if answer.status != 200:
            raise ConnectionError(f"{name} answered {answer.status}: {body[:200]!r}")
        return took

    def together(self, name: str, asked: Asked, count: int) -> float:
        """Return the seconds until all of several answers are there."""
        with ThreadPoolExecutor(count) as pool:
            return max(pool.map(lambda _: self.ask(name, asked), range(count)))

    def worker(self, name: str) -> Path:
        """Return /proc's folder of a model's worker."""
        for one in self.family.members():
            if (Path(one.cwd()) / f"{name}_handler.py").is_file():
                return Path(f"/proc/{one.pid}")
        sys.exit(f"{name} has no worker")


def peak_over_rest(worker: Path, both: Both, asked: Asked) -> int:
    """Return the bytes that a worker takes at most for a request, beyond those before it."""
    (worker / "clear_refs").write_text("5")
    before = _kilobytes(worker, "VmRSS")
    both.ask("wide", asked)
    return 1024 * (_kilobytes(worker, "VmHWM") - before)


def _kilobytes(worker: Path, name: str) -> int:
    lines = (worker / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def compared(both: Both, case: Case, rounds: int) -> str:
    """Return a line: both medians, their ratio, its spread, and the worker's peak."""
    took: dict[str, list[float]] = {"wide": [], "counting": []}
    asked: Mapping[str, Asked] = {"wide": case.wide, "counting": case.counting}
    for number in range(rounds + 1):
        for name in sorted(took, reverse=number % 2 == 0):
            seconds = both.ask(name, asked[name])
            if number:  # Java has seen such a body before
                took[name].append(seconds)
    ours, plain = (statistics.median(took[name]) for name in ("wide", "counting"))
    ratios = sorted(one / other for one, other in zip(*took.values(), strict=True))
    peak = peak_over_rest(both.worker("wide"), both, case.wide)
    return (
        f"{case.name:<42} {ours * 1000:6.0f} ms, counting {plain * 1000:6.0f} ms: "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
        f"peak {peak / case.size:.2f} x"
    )


def main() -> None:
    """Print a line for each kind of body."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    # Short: sockets in it have paths of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mqb-", dir="/tmp") as folder:
        both = Both(Setting(Path(folder), "lenet"))
        try:
            for case in cases():
                if options.only in case.name:
                    _print(compared(both, case, options.rounds))
            for case in batches():
                if options.only in case.name:
                    seconds = both.together("counting", case.counting, case.at_once)
                    _print(f"{case.name:<42} {seconds * 1000:6.0f} ms, counting alone")
        finally:
            both.family.stop()


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
