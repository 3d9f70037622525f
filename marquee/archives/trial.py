"""Try an archive before it is stored: load it as a worker would, and make its golden requests.

The model is asked its own examples in every type it answers in. Runs as a process of its own
(``python -m marquee.archives.trial FOLDER OUT NOTES``), so that the archive's modules are imported
from the archive and nothing of them stays behind here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marquee import processes
from marquee.archives import golden
from marquee.archives.comparison import spread
from marquee.archives.digests import GOLDEN
from marquee.archives.worker import OfflineWorker, WorkerReply, WorkerRequest
from marquee.errors import MarqueeError
from marquee.media import media_type, suffix_of, type_of

FAILED = 3
# Tells CPU from GPU, bf16 from fp32 and one thread from many not apart, but networks.
DEFAULT_TOLERANCE = 0.05
# Of one expected answer: an image as nested lists would make the archive larger than its weights.
MAX_ANSWER = 300_000
# Where no answer is that small, the smallest may have this many bytes.
MAX_ONLY_ANSWER = 8 << 20


def run(archive: Path, scratch: Path, title: str, source: tuple[str, Path]) -> tuple[str, ...]:
    """Load an archive, unpacked below ``scratch``, and add its golden requests to it.

    Returns what it said to those of its examples that it cannot process. ``title`` and ``source``
    are for messages; see :func:`marquee.archives.build.try_and_store`.

    Raises:
        MarqueeError: it does not load, or fails on its example.
    """
    unpacked, made, notes = (scratch / name for name in ("unpacked", "made", "refused.json"))
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(unpacked)
    command: list[str | Path] = [sys.executable, "-m", "marquee.archives.trial"]
    command += [unpacked, made, notes]
    try:
        processes.run(command, f"{title} does not load", env=environment(unpacked), cwd=unpacked)
    except MarqueeError as error:
        inside, origin = source
        raise MarqueeError(str(error).replace(str(unpacked / inside), str(origin))) from error
    with zipfile.ZipFile(archive, "a") as opened:
        for path in sorted(made.glob(f"{golden.FOLDER}/*")):
            opened.write(path, path.relative_to(made))
    return tuple(json.loads(notes.read_text()))


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that imports the archive unpacked in ``folder``."""
    # TorchServe, too, puts the archive before what PYTHONPATH names already.
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> int:
    """Try the archive named on the command line; the last line on stderr says what failed."""
    logging.basicConfig(stream=sys.stderr)
    folder, out, notes = map(Path, sys.argv[1:])
    sys.path.insert(0, str(folder))
    try:
        worker = OfflineWorker(folder)
        make_golden(worker, folder, out)
        notes.write_text(json.dumps([*getattr(worker.handler, "refused_examples", ())]))
    except Exception as error:
        logging.exception("the model does not load")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        sys.stderr.write(kind + " ".join(str(error).split()) + "\n")
        return FAILED
    return 0


@dataclass(frozen=True)
class _Exchange:
    example: Path
    accept: str | None
    request: WorkerRequest
    reply: WorkerReply


def make_golden(worker: OfflineWorker, folder: Path, out: Path) -> None:
    """Write ``golden/`` of the archive unpacked in ``folder`` into the folder ``out``.

    Answers in one thread, so that the same archive on the same kind of machine gives the same
    bytes, and leaves out what is not the same twice, is no success, or is too large.

    Raises:
        ValueError: the archive's tolerance makes no sense.
    """
    import torch  # noqa: PLC0415 - the process has it by now, the module's other users have not

    share = tolerance(worker.config)
    torch.set_num_threads(1)
    fitting = (one for one in _answered(worker, folder) if len(one.reply.body) <= MAX_ONLY_ANSWER)
    # Asked again: an answer with noise or the time of day in it is no use.
    steady = [one for one in fitting if worker.ask(one.request)[0].body == one.reply.body]
    small = [one for one in steady if len(one.reply.body) <= MAX_ANSWER]
    kept = small or sorted(steady, key=lambda one: len(one.reply.body))[:1]
    if not kept:
        return
    (out / golden.FOLDER).mkdir(parents=True)
    entries = [_write(one, number, out, share) for number, one in enumerate(kept, 1)]
    (out / golden.INDEX).write_text(golden.index_text(entries))


def tolerance(config: Mapping[str, Any]) -> float:
    """Return ``marquee.golden.tolerance`` of an archive's model-config.yaml.

    A share of the range of an array's values, of the 255 levels of a picture, or of the numbers
    in JSON.

    Raises:
        ValueError: it is not above 0 and at most 1.
    """
    wanted = (config.get("marquee") or {}).get("golden") or {}
    if not isinstance(wanted, dict) or wanted.keys() - {"tolerance"}:
        raise ValueError(f"marquee.golden is {wanted!r}, expected {{tolerance: number}}")
    value = wanted.get("tolerance", DEFAULT_TOLERANCE)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 1:
        raise ValueError(f"marquee.golden.tolerance is {value!r}, expected above 0, at most 1")
    return float(value)


def example_request(handler: Any, example: Path, accept: str | None) -> WorkerRequest:
    """Return the request that sends an example, with the headers that its handler declares."""
    headers = {"Content-Type": type_of(example)} | getattr(handler, "example_headers", {})
    headers |= {} if accept is None else {"Accept": accept}
    return WorkerRequest(headers, example.read_bytes())


def _answered(worker: OfflineWorker, folder: Path) -> Iterator[_Exchange]:
    for example in sorted(folder.glob("example.*")):
        for accept in getattr(worker.handler, "produces", None) or [None]:
            request = example_request(worker.handler, example, accept)
            (reply,) = worker.ask(request)
            if reply.status == 200 and reply.body:
                yield _Exchange(example, accept, request, reply)


def _write(exchange: _Exchange, number: int, out: Path, share: float) -> golden.GoldenEntry:
    reply, media = exchange.reply, media_type(exchange.reply.content_type)
    expected = f"{golden.FOLDER}/{number}{suffix_of(media)}"
    if not GOLDEN.fullmatch(expected):
        expected = f"{golden.FOLDER}/{number}.bin"
    (out / expected).write_bytes(reply.body)
    return golden.GoldenEntry(
        name=exchange.example.name + (f" as {exchange.accept}" if exchange.accept else ""),
        headers=exchange.request.headers,
        body=exchange.example.name,
        status=reply.status,
        content_type=reply.content_type,
        expected=expected,
        tolerance=share * spread(media, reply.body),
    )


if __name__ == "__main__":
    sys.exit(main())
