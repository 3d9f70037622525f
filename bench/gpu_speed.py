"""Seconds and memory of one archive's network: by batch and way of running it, and at full size.

A process of its own for each archive; ``bench.gpu`` starts it. Networks have their published
sizes and random weights, rotifer's and, on a CPU, timetravel's are the archive's own.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from bench import gpu_archive, gpu_original
from bench.gpu_measure import DTYPES, Ceilings, measure, measure_ceilings, set_tf32, work_of
from tests.golden import synth

BATCHES = (1, 8, 32)
# The slow ones last: what a time limit cuts off is a compilation.
WAYS = (("eager", "fp32"), ("eager", "bf16"), ("graph", "bf16"), ("compiled", "bf16"))
AGES = (25, 35, 55, 75)
PHOTOS = 4
SECONDS = 0.2

# Inputs of a batch, for a network.
Inputs = Callable[[int], tuple[Tensor, ...]]


class Subject:
    """An archive's network, and inputs for it."""

    def __init__(self, model: str, archive: Path, folder: Path, device: torch.device) -> None:
        self.model, self.archive, self.folder, self.device = model, archive, folder, device
        self.gpu_id = 0 if device.type == "cuda" else None
        # A CPU only tries whether it all runs.
        self.seconds, self.side = (SECONDS, 256) if device.type == "cuda" else (0.0, 64)
        self._weights: Path | None = None

    @property
    def weights(self) -> Path:
        """A weight file of the published sizes, made once."""
        if self._weights is None:
            self._weights = self._make_weights()
        return self._weights

    def _make_weights(self) -> Path:
        torch.manual_seed(1)
        if self.model == "cifar":
            return self._saved(importlib.import_module("handlers.cifar.model").VGG11())
        if self.model == "inkwash":
            return self._saved(importlib.import_module("handlers.inkwash.model").Generator())
        if self.model == "timetravel" and self.gpu_id is not None:
            return write_ageing(self.folder / "sam.pt")
        return gpu_archive.own_weights(self.archive)

    def _saved(self, network: Any) -> Path:
        path = self.folder / f"{self.model}.pth"
        torch.save(network.state_dict(), path)
        return path

    def handler(self, precision: str, forward: Callable[[Any], Any] | None = None) -> Any:
        """Load the handler, its ``forward`` seen through ``forward`` if that is given."""
        handler = gpu_archive.handler_class(self.archive)()
        if forward is not None:
            handler.forward = forward(handler.forward)
        config = json.loads((self.archive / gpu_archive.CONFIG).read_text())
        section = config.get("marquee", {}) | {"precision": precision}
        return gpu_archive.start(handler, self.weights, self.gpu_id, config | {"marquee": section})

    def inputs(self, network: Any, dtype: torch.dtype) -> Inputs:
        """Return what makes inputs: random numbers, for timetravel faces and ages."""
        square = (self.side, self.side)
        side = {"cifar": (3, 32, 32), "smoke": (6, *square), "inkwash": (3, *square)}
        if self.model == "timetravel":
            face = (3, network.face_side, network.face_side)
            return lambda n: (self._random(n, face, dtype), torch.full((n,), 40.0).to(self.device))
        shape = (3, *network.size[::-1]) if self.model == "rotifer" else side[self.model]
        return lambda n: (self._random(n, shape, dtype),)

    def _random(self, count: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        numbers = torch.rand(count, *shape, device=self.device).to(dtype)
        last = self.model != "timetravel"
        return numbers.contiguous(
            memory_format=torch.channels_last if last else torch.contiguous_format
        )


def write_ageing(path: Path) -> Path:
    """Write a checkpoint of timetravel's published sizes, 1024 x 1024, with random numbers."""
    shapes = json.loads(
        Path(synth.__file__).with_name("timetravel").joinpath("full_state_dict.json").read_text()
    )
    siblings: Any = synth._siblings(shapes)

    def filled(key: str) -> Tensor:
        how: dict[str, Any] = synth.rule(key, shapes[key], siblings)
        if how["kind"] == "normal":
            return torch.randn(shapes[key]).mul_(how["std"]).add_(how["mean"])
        if how["kind"] == "uniform":
            return torch.rand(shapes[key]).mul_(how["hi"] - how["lo"]).add_(how["lo"])
        return torch.from_numpy(synth.array(key, shapes[key], how))

    opts = {"output_size": 1024, "input_nc": 4, "start_from_encoded_w_plus": True}
    content = {"state_dict": {key: filled(key) for key in shapes}, "opts": opts}
    torch.save(content | {"latent_avg": torch.randn(18, 512) * 0.5}, path)
    return path


def run_as(way: str, network: Any, inputs: tuple[Tensor, ...]) -> Callable[[], object]:
    """Return a call of the network that runs it in some way."""
    if way != "graph":
        return lambda: network(*inputs)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(*inputs)
    return graph.replay


def compiled(network: Any, device: torch.device) -> Any:
    """Return a compiled network, for all batches; on a CPU only its graph is taken, in seconds."""
    backend = "inductor" if device.type == "cuda" else "eager"
    return torch.compile(network, dynamic=True, backend=backend)


@contextmanager
def attempt(report: gpu_archive.Report, what: str) -> Iterator[None]:
    """Note what is not possible, and go on: a compiler may be missing, a batch too large."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of any class; it is told
        said = " ".join(str(error).split())[:200]
        report.add("impossible", what=what, why=f"{type(error).__name__}: {said}")


@torch.inference_mode()
def by_batch(
    subject: Subject, report: gpu_archive.Report, ceilings: Ceilings, batches: tuple[int, ...]
) -> None:
    """Measure each way and batch."""
    device = subject.device
    for way, precision in WAYS:
        if subject.gpu_id is None and not _tried_on_cpu(way, subject.model):
            continue
        with attempt(report, f"{subject.model}, {way}, {precision}"):
            network = subject.handler(precision).network
            make = subject.inputs(network, DTYPES[precision])
            runner = compiled(network, device) if way == "compiled" else network
            for batch in batches:
                with attempt(report, f"{subject.model}, {way}, {precision}, batch {batch}"):
                    inputs = make(batch)
                    start = time.perf_counter()
                    call = run_as(way, runner, inputs)
                    call()
                    first = time.perf_counter() - start
                    timing = measure(call, device, subject.seconds)
                    work = work_of(lambda network=network, inputs=inputs: network(*inputs))  # type: ignore[misc]
                    shares = ceilings.share(work, timing.seconds, precision)
                    names = {"model": subject.model, "way": way, "precision": precision}
                    report.add(
                        "speed",
                        **names,
                        batch=batch,
                        first=first,
                        **asdict(timing),
                        of_flops=shares[0],
                        of_copy=shares[1],
                    )


def _tried_on_cpu(way: str, model: str) -> bool:
    """Tell whether a CPU can run a network so; one compilation shows as much as five."""
    return way == "eager" or (way == "compiled" and model == "cifar")


def request_of(model: str, archive: Path, large: bool) -> tuple[bytes, dict[str, str]]:
    """Return a request at full size: a photo of 1080p, or a face at four ages."""
    if model == "timetravel":
        headers = {"X-Marquee-Align": "false", "X-Marquee-Ages": ",".join(map(str, AGES))}
        return next(archive.glob("example.*")).read_bytes(), headers
    with Image.open(next(archive.glob("example.*"))) as opened:
        photo = opened.convert("RGB").resize((1920, 1080) if large else (96, 54))
    stream = io.BytesIO()
    photo.save(stream, "PNG", compress_level=1)
    return stream.getvalue(), {"X-Marquee-Size": "0", "Accept": "image/jpeg"}


@torch.inference_mode()
def against_original(subject: Subject, report: gpu_archive.Report, ceilings: Ceilings) -> None:
    """Measure a full-size request against the original's loop in float32, from host to host."""
    device, gpu = subject.device, subject.gpu_id is not None
    body, headers = request_of(subject.model, subject.archive, gpu)
    to_host: Any = importlib.import_module("handlers.runtime.device").to_host
    count = 1 if subject.model == "timetravel" else PHOTOS
    baselines: dict[str, float] = {}
    for precision in DTYPES if gpu else ("fp32", "bf16"):
        seen: list[Tensor] = []

        def watched(forward: Any, seen: list[Tensor] = seen) -> Any:
            def passed_on(batch: Tensor) -> Any:
                seen.append(batch.cpu())
                return forward(batch)

            return passed_on

        with attempt(report, f"{subject.model} at full size, {precision}"):
            handler = subject.handler(precision, watched)
            gpu_archive.ask(handler, (body, headers))
            items, forward = [seen[-1][0]] * count, type(handler).forward

            def ours(handler: Any = handler, items: Any = items, forward: Any = forward) -> Any:
                return to_host(forward(handler, handler.placement.batch(items)))

            if not baselines:
                baselines = _baselines(subject, handler.network, items)
            timing = measure(ours, device, subject.seconds * 5)
            shares = ceilings.share(work_of(ours), timing.seconds, precision)
            report.add(
                "against",
                model=subject.model,
                precision=precision,
                **asdict(timing),
                original=baselines,
                of_flops=shares[0],
                of_copy=shares[1],
            )


def _baselines(subject: Subject, network: Any, items: list[Tensor]) -> dict[str, float]:
    """Time the original's loop, in fp32 and as PyTorch runs fp32 unless it is told otherwise."""
    plain = network.to(memory_format=torch.contiguous_format)
    if subject.model == "timetravel":
        sent = items[0][None, :3].to(subject.device)
        face = sent if sent.is_floating_point() else sent.float() / 127.5 - 1

        def loop() -> object:
            return gpu_original.show_ages(plain, face, AGES)
    else:

        def loop() -> object:
            return gpu_original.paint_photos(plain, items, subject.device)

    found = {"fp32": measure(loop, subject.device, subject.seconds * 5).seconds}
    torch.backends.cudnn.allow_tf32 = True
    found["PyTorch's default"] = measure(loop, subject.device, subject.seconds * 5).seconds
    set_tf32("fp32")
    if subject.model == "inkwash":
        network.to(memory_format=torch.channels_last)
    return found


def main() -> None:
    """Measure the archive that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    gpu_archive.enter(options.archive)
    report, device = gpu_archive.Report(options.report), torch.device(options.device)
    ceilings = measure_ceilings(device, *((256, 0.0) if options.quick else ()))
    report.add("ceilings", **asdict(ceilings))
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(options.model, options.archive, Path(folder), device)
        if options.model in ("inkwash", "timetravel"):
            against_original(subject, report, ceilings)
        by_batch(subject, report, ceilings, (2,) if options.quick else BATCHES)


if __name__ == "__main__":
    main()
