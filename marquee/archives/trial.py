"""Make golden requests: ask a loaded model its own example in every type it answers in."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import golden
from marquee.archives.comparison import media_type, spread
from marquee.archives.worker import Asked, Reply, Worker

# As handlers/script types an example by its name; mimetypes knows the others.
TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
}
SUFFIXES = {kind: suffix for suffix, kind in TYPES.items()} | {
    "image/png": ".png",
    "image/jpeg": ".jpg",
}
# Tells CPU from GPU, bf16 from fp32 and one thread from many not apart, but networks.
DEFAULT_TOLERANCE = 0.05
# Of one expected answer: an image as nested lists would make the archive larger than its weights.
MAX_ANSWER = 300_000
# Where no answer is that small, the smallest may have this many bytes.
MAX_ONLY_ANSWER = 8 << 20


@dataclass(frozen=True)
class _Made:
    example: Path
    accept: str | None
    asked: Asked
    reply: Reply


def make(worker: Worker, folder: Path, out: Path) -> None:
    """Write ``golden/`` of the archive unpacked in ``folder`` into the folder ``out``.

    Answers in one thread, so that the same archive on the same kind of machine gives the same
    bytes, and leaves out what is not the same twice, is no success, or is too large.

    Raises:
        ValueError: the archive's tolerance makes no sense.
    """
    import torch  # noqa: PLC0415 - the process has it by now, the module's other users have not

    share = tolerance(folder)
    torch.set_num_threads(1)
    kept = _small([one for one in _answered(worker, folder) if _steady(worker, one)])
    if not kept:
        return
    (out / golden.FOLDER).mkdir(parents=True)
    entries = [_write(one, number, out, share) for number, one in enumerate(kept, 1)]
    (out / golden.INDEX).write_text(golden.index_text(entries))


def tolerance(folder: Path) -> float:
    """Return ``marquee.golden.tolerance`` of an unpacked archive's model-config.yaml.

    A share of the range of an array's values, of the 255 levels of a picture, or of the numbers
    in JSON.

    Raises:
        ValueError: it is not above 0 and at most 1.
    """
    path = folder / "model-config.yaml"
    config = yaml.safe_load(path.read_text()) if path.is_file() else None
    section = (config or {}).get("marquee") or {}
    wanted = section.get("golden") or {}
    if not isinstance(wanted, dict) or wanted.keys() - {"tolerance"}:
        raise ValueError(f"marquee.golden is {wanted!r}, expected {{tolerance: number}}")
    value = wanted.get("tolerance", DEFAULT_TOLERANCE)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 1:
        raise ValueError(f"marquee.golden.tolerance is {value!r}, expected above 0, at most 1")
    return float(value)


def example_request(handler: Any, example: Path, accept: str | None) -> Asked:
    """Return the request that sends an example, with the headers that its handler declares."""
    headers = {"Content-Type": content_type_of(example)}
    headers |= getattr(handler, "example_headers", {})
    headers |= {} if accept is None else {"Accept": accept}
    return Asked(headers, example.read_bytes())


def content_type_of(path: Path) -> str:
    """Return the media type that a file's name tells."""
    # Python's own table: the system's differs from machine to machine, and goes into archives.
    guessed = mimetypes.MimeTypes().guess_type(path.name, strict=False)[0]
    return TYPES.get(path.suffix.lower()) or guessed or "application/octet-stream"


def _answered(worker: Worker, folder: Path) -> Iterator[_Made]:
    for example in sorted(folder.glob("example.*")):
        for accept in getattr(worker.handler, "produces", None) or [None]:
            asked = example_request(worker.handler, example, accept)
            (reply,) = worker.ask(asked)
            if reply.status == 200 and reply.body:
                yield _Made(example, accept, asked, reply)


def _steady(worker: Worker, made: _Made) -> bool:
    """Ask again: an answer with noise or the time of day in it is no use."""
    if len(made.reply.body) > MAX_ONLY_ANSWER:
        return False
    return worker.ask(made.asked)[0].body == made.reply.body


def _small(made: list[_Made]) -> list[_Made]:
    small = [one for one in made if len(one.reply.body) <= MAX_ANSWER]
    return small or sorted(made, key=lambda one: len(one.reply.body))[:1]


def _write(made: _Made, number: int, out: Path, share: float) -> golden.Entry:
    media = media_type(made.reply.content_type)
    expected = f"{golden.FOLDER}/{number}{SUFFIXES.get(media, '.bin')}"
    (out / expected).write_bytes(made.reply.body)
    return golden.Entry(
        name=made.example.name + (f" as {made.accept}" if made.accept else ""),
        headers=made.asked.headers,
        body=made.example.name,
        status=made.reply.status,
        content_type=made.reply.content_type,
        expected=expected,
        tolerance=share * spread(media, made.reply.body),
    )
