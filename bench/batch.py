"""Pictures a second of `marquee batch` beside a plain loop and `marquee predict`, and a long run.

    python -m bench.batch lenet|vgg11|inkwash [--rounds 3]
    python -m bench.batch long [--pictures 100000]

The rate of each is that between a small and a large set, so that loading does not count; all answer
the same drawn PNGs (32 px, 256 px for inkwash), in turns. `long` kills the command twice, with
SIGKILL, a third and two thirds on, and shows the memory of it and its workers in tenths of the way.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from bench.contenders.network import Classifier, pixels_of
from handlers.inkwash.model import load_generator
from marquee.project import Project
from tests.support import BIN, ROOT, Running, clean_environment, make_project, serving

Seconds = Callable[[int], float]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        archive: of the model store; ``weights`` are those it was made of.
        side: of the pictures, in pixels.
        few, many: sizes of the two sets.
        batch: of the plain loop that batches.
    """

    archive: str
    weights: str
    side: int
    few: int
    many: int
    batch: int

    @property
    def model(self) -> str:
        """The model's name."""
        return self.archive.partition("-")[0]


CASES = {
    "lenet": Case("cifar-1.0", "handlers/cifar/demo/lenet.pth", 32, 1000, 7000, 32),
    "vgg11": Case("cifar-2.0", "handlers/cifar/demo/vgg11.pth", 32, 200, 1000, 32),
    "inkwash": Case("inkwash-1.0", "handlers/inkwash/demo/latest_net_G.pth", 256, 2, 8, 4),
}


def draw(folder: Path, count: int, side: int) -> list[Path]:
    """Draw pictures of coloured blocks, no two alike."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths = [folder / f"{number:06}.png" for number in range(count)]
    for path in paths:
        blocks = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((side, side)).save(path, compress_level=1)
    return paths


def loop(case: Case, files: list[Path], batch: int) -> float:
    """Return the seconds that a plain loop takes with the network in this process."""
    torch.set_num_threads(1 if case.side == 32 else os.cpu_count() or 1)
    answer = _classifier(case) if case.side == 32 else _painter(case)
    answer(files[:batch])
    started = time.perf_counter()
    for first in range(0, len(files), batch):
        answer(files[first : first + batch])
    return time.perf_counter() - started


def _classifier(case: Case) -> Callable[[list[Path]], object]:
    network = Classifier(ROOT / case.weights)
    return lambda files: json.dumps(network.answers([pixels_of(f.read_bytes()) for f in files]))


def _painter(case: Case) -> Callable[[list[Path]], object]:
    network = load_generator(ROOT / case.weights)

    def painted(files: list[Path]) -> None:
        pixels = [np.asarray(Image.open(path).convert("RGB")) for path in files]
        batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.inference_mode():
            paintings = ((network(batch) + 1) * 127.5).to(torch.uint8).permute(0, 2, 3, 1)
        for painting in paintings.numpy():
            Image.fromarray(painting).save(io.BytesIO(), "PNG", compress_level=1)

    return painted


def in_process(name: str, files: list[Path], batch: int) -> float:
    """Return the seconds of a plain loop in a process of its own."""
    command = [sys.executable, "-m", "bench.batch", name, "--loop", str(batch)]
    text = "\n".join(map(str, files))
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=True)
    return float(done.stdout)


def batch(project: Project, case: Case, files: list[Path], workers: int) -> float:
    """Return the seconds that `marquee batch` takes."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.txt"
        listed.write_text("\n".join(map(str, files)))
        words = ["batch", case.archive, str(listed), f"{folder}/out", "--json", *accept(case)]
        command = [str(BIN / "marquee"), *words, "--workers", str(workers)]
        done = subprocess.run(
            command, cwd=project.root, capture_output=True, check=True, env=clean_environment()
        )
        return float(json.loads(done.stdout)["seconds"])


def predict(running: Running, case: Case, files: list[Path]) -> float:
    """Return the seconds that `marquee predict` takes."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["predict", case.model, *map(str, files), "--jobs", "16", *accept(case)]
        command = [str(BIN / "marquee"), *words, "-o", f"{folder}/"]
        started = time.perf_counter()
        environment = clean_environment(**running.environment)
        subprocess.run(
            command, cwd=running.project.root, capture_output=True, check=True, env=environment
        )
        return time.perf_counter() - started


def accept(case: Case) -> list[str]:
    """Return the options that ask for a picture where the model makes one."""
    return ["--accept", "png"] if case.model == "inkwash" else []


@contextmanager
def prepared(case: Case, count: int) -> Iterator[tuple[Project, list[Path]]]:
    """Lend a project with one archive, and pictures."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", case.model)
        name = f"{case.archive}.mar"
        (project.model_store / name).hardlink_to(ROOT / "model_store" / name)
        yield project, draw(Path(folder) / "in", count, case.side)


def compare(name: str, rounds: int) -> None:
    """Print the rates of all contenders: median, least and most of the rounds, in turns."""
    case = CASES[name]
    with prepared(case, case.many) as (project, files), serving(project) as running:
        contenders: dict[str, Callable[[list[Path]], float]] = {
            "plain loop, one by one": lambda some: in_process(name, some, 1),
            f"plain loop, {case.batch} at a time": lambda some: in_process(name, some, case.batch),
            "marquee predict": lambda some: predict(running, case, some),
            "marquee batch, 1 worker": lambda some: batch(project, case, some, 1),
            "marquee batch, 2 workers": lambda some: batch(project, case, some, 2),
        }
        rates: dict[str, list[float]] = {title: [] for title in contenders}
        for _ in range(rounds):
            for title, seconds in contenders.items():
                few, many = seconds(files[: case.few]), seconds(files)
                rates[title].append((case.many - case.few) / (many - few))
                print(f"{title:28} {rates[title][-1]:8.1f}", flush=True)  # noqa: T201
    first = statistics.median(next(iter(rates.values())))
    for title, seen in rates.items():
        middle = statistics.median(seen)
        spread = f"({min(seen):.1f} to {max(seen):.1f})"
        print(f"{title:28} {middle:8.1f} {spread:22} {middle / first:.2f}x")  # noqa: T201


def long(count: int) -> None:
    """Print the memory along the way of many pictures through LeNet, killed twice."""
    case = CASES["lenet"]
    with prepared(case, count) as (project, _), tempfile.TemporaryDirectory() as folder:
        out, seen = Path(folder) / "out", list[tuple[int, int]]()
        words = ["batch", case.archive, str(project.root.parent / "in"), str(out)]
        for until in (count // 3, 2 * count // 3, count):
            before, started = _rows(out), time.perf_counter()
            run = subprocess.Popen(
                [BIN / "marquee", *words, "--workers", "2"],
                cwd=project.root,
                env=clean_environment(),
                stdout=subprocess.DEVNULL,
            )
            while run.poll() is None and (_rows(out) < until or until == count):
                seen.append((_rows(out), _resident(run.pid)))
                time.sleep(1)
            if until < count:
                run.send_signal(signal.SIGKILL)
            run.wait()
            done, took = _rows(out) - before, time.perf_counter() - started
            print(f"{done} rows in {took:.0f} s, ended with {run.returncode}")  # noqa: T201
        _report(out, count, seen)


def _rows(out: Path) -> int:
    table = out / "results.jsonl"
    return table.read_bytes().count(b"\n") if table.exists() else 0


def _resident(pid: int) -> int:
    """Return the bytes of RAM of a process and all below it."""
    try:
        top = psutil.Process(pid)
        return sum(one.memory_info().rss for one in [top, *top.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0


def _report(out: Path, count: int, seen: list[tuple[int, int]]) -> None:
    for tenth in range(10):
        part = [held for rows, held in seen if rows * 10 // count == tenth]
        if part:
            print(f"rows {tenth * 10} to {tenth * 10 + 10} %: at most {max(part) / 1e6:.0f} MB")  # noqa: T201
    rows = [json.loads(line) for line in (out / "results.jsonl").open()]
    names = {row["input"] for row in rows}
    failed = sum(row["error"] is not None for row in rows)
    print(f"{len(rows)} rows of {len(names)} inputs of {count}, {failed} failed")  # noqa: T201


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=[*CASES, "long"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--loop", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        files = [Path(line) for line in sys.stdin.read().splitlines()]
        print(loop(CASES[options.what], files, options.loop))  # noqa: T201
    elif options.what == "long":
        long(options.pictures)
    else:
        compare(options.what, options.rounds)


if __name__ == "__main__":
    main()
