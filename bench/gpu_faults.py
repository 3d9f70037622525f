"""Out of memory and a lost context, for real: what the runtime of an archive makes of them.

``memory`` and ``assert`` each in a process of their own, which ``bench.gpu`` starts: the second
must end by itself, with 1. On a CPU both are played by exceptions.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from bench import gpu_archive

SIDE = 1024
WIDTH = 64
ITEM_BYTES = SIDE * SIDE * WIDTH * 4  # what the network writes for one picture
BATCH = 8
PATIENCE = 20  # seconds until a worker that stays alive is given up
BLACK, WHITE = 0, 255


def picture(value: int) -> bytes:
    """Return a PNG file of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (value, value, value)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def handler_of(kind: str, report: gpu_archive.Report, gpu: bool) -> Any:
    """Return a handler on the archive's runtime: ``wide`` needs memory, ``broken`` fails."""
    from handlers.runtime import Request, Result, VisionHandler  # noqa: PLC0415 - the archive's

    class Wide(VisionHandler):
        """Writes ``ITEM_BYTES`` a picture, and answers with a number."""

        fits = BATCH

        def load(self) -> nn.Module:
            return nn.Identity()

        def preprocess(self, request: Request) -> Tensor:
            image = request.payload.image().resize((SIDE, SIDE))
            return (
                torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
                .reshape(SIDE, SIDE, 3)
                .permute(2, 0, 1)
            )

        def forward(self, batch: Tensor) -> Tensor:
            report.add("batch", size=len(batch))
            if not gpu and len(batch) > self.fits:
                raise torch.OutOfMemoryError("CUDA out of memory (played)")
            pixels = batch if gpu else batch[..., :1]
            numbers = pixels[:, :1].to(self.placement.dtype)
            wide = numbers.expand(-1, WIDTH, -1, -1).contiguous()
            return wide.mean(dim=(1, 2, 3))

        def postprocess(self, output: Tensor, request: Request) -> Result:
            return Result(json=float(output))

    class Broken(Wide):
        """Loses its device at the first white picture: reads beyond the end of a table."""

        def forward(self, batch: Tensor) -> Tensor:
            values = batch[:, 0, 0, 0].long()
            if not gpu and int(values.max()) == WHITE:
                raise torch.AcceleratorError("CUDA error: device-side assert triggered (played)")
            return torch.zeros(1, device=batch.device)[values]

    return {"wide": Wide, "broken": Broken}[kind]()


def started(kind: str, report: gpu_archive.Report, gpu: bool) -> Any:
    """Return such a handler, loaded, in a folder without an example."""
    folder = report.path.parent  # of who started this, and deletes it
    config = {"batchSize": BATCH, "marquee": {"max_batch_pixels": BATCH * SIDE * SIDE * 8}}
    handler = handler_of(kind, report, gpu)
    return gpu_archive.start(handler, folder / "none", 0 if gpu else None, config)


def statuses(handler: Any, *bodies: bytes) -> list[int]:
    """Ask for all as TorchServe does, as one batch; return the status of each answer."""
    context = gpu_archive.Context({}, {}, {})
    handler.handle([{"body": body} for body in bodies], context)
    return [context.statuses[index] for index in range(len(bodies))]


def limit_memory(handler: Any, items: float, gpu: bool) -> None:
    """Leave room for so many pictures beside what is in use."""
    if not gpu:
        handler.fits = int(items)
        return
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    allowed = torch.cuda.memory_reserved(0) + items * ITEM_BYTES
    torch.cuda.set_per_process_memory_fraction(min(allowed / total, 1.0), 0)


def check_memory(report: gpu_archive.Report, gpu: bool) -> None:
    """A batch that does not fit is halved, and one picture that does not fit gets a 507."""
    handler = started("wide", report, gpu)
    statuses(handler, picture(BLACK))
    # The pictures' own bytes and numbers come on top: 2.5 are two with some room, and never four.
    limit_memory(handler, 2.5, gpu)
    report.add("statuses", what="eight, two fit", found=statuses(handler, *[picture(9)] * BATCH))
    limit_memory(handler, 0.5, gpu)
    report.add("statuses", what="one that does not fit", found=statuses(handler, picture(9)))
    limit_memory(handler, 1e9 if gpu else BATCH, gpu)
    report.add("statuses", what="afterwards", found=statuses(handler, *[picture(9)] * 2))


def check_assert(report: gpu_archive.Report, gpu: bool) -> None:
    """A lost context refuses the rest, and ends the process."""
    handler = started("broken", report, gpu)
    report.add("statuses", what="before", found=statuses(handler, picture(BLACK)))
    lost = statuses(handler, picture(WHITE), picture(BLACK))
    report.add("statuses", what="at the assert", found=lost)
    time.sleep(PATIENCE)
    report.add("alive")


def findings(lines: list[dict[str, Any]], code: int, what: str) -> list[tuple[str, str, bool]]:
    """Judge a process by what it wrote and how it ended: what, what was found, whether it is right.

    Args:
        lines: of its report.
        code: its exit status.
        what: ``memory`` or ``assert``.
    """
    found = {line["what"]: line["found"] for line in lines if line["kind"] == "statuses"}
    if what == "assert":
        lost = found.get("at the assert")
        return [
            ("a device-side assert: the answers", json.dumps(lost), lost == [503, 503]),
            ("a device-side assert: the worker", f"ended with {code}", code == 1),
        ]
    sizes = [line["size"] for line in lines if line["kind"] == "batch"]
    eight, one = found.get("eight, two fit"), found.get("one that does not fit")
    after = found.get("afterwards")
    halved = eight == [200] * BATCH and sizes[1:5] == [8, 4, 2, 2]
    return [
        ("out of memory: eight pictures, two fit", f"{eight} in batches of {sizes[1:]}", halved),
        ("out of memory: one that does not fit", json.dumps(one), one == [507]),
        ("out of memory: afterwards", json.dumps(after), after == [200, 200]),
    ]


def main() -> None:
    """Run the fault that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("memory", "assert"))
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    gpu_archive.enter(options.archive)
    report = gpu_archive.Report(options.report)
    checks = {"memory": check_memory, "assert": check_assert}
    checks[options.what](report, options.device == "cuda")
    sys.exit(0)


if __name__ == "__main__":
    main()
