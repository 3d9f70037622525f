"""A worker from inside: a process with a loaded archive, asked over two connections.

    python -m marquee.bulk.worker FOLDER DESCRIPTOR DESCRIPTOR

FOLDER is the unpacked archive, the descriptors are open sockets. While the model answers what came
by one of them, what came by the other is read: files wait for no model, and the model for no file.
Held at a time are four times ``HELD_BYTES``, and two inputs that go beyond, at the most.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path, PurePath

import torch

from marquee.archives.worker import OfflineWorker, WorkerReply, WorkerRequest
from marquee.bulk import s3
from marquee.bulk.feed import HELD_BYTES
from marquee.bulk.items import Item, Orders, Result, read
from marquee.client.request import PredictionRequest
from marquee.media import HEAD, answer_type, type_by

FAILED = 3
LONGEST_PAUSE = 10.0
STAGE = re.compile(r"([\w-]+);dur=([\d.]+)")
Part = tuple[Connection, list[Item]]


def main() -> int:
    """Load the archive that the command line names, say that it is there, and answer."""
    logging.basicConfig(stream=sys.stderr)
    folder = Path(sys.argv[1])
    first, *others = (Connection(int(word)) for word in sys.argv[2:])
    sys.path.insert(0, str(folder))
    orders: Orders = first.recv()
    try:
        model = _loaded(folder, orders)
    except Exception as error:
        logging.exception("the model does not load")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        first.send(kind + " ".join(str(error).split()))
        return FAILED
    first.send(None)
    parts: queue.Queue[Part] = queue.Queue(1)
    for connection in (first, *others):
        threading.Thread(target=_read_on, args=(connection, orders, parts), daemon=True).start()
    while True:
        connection, items = parts.get()
        connection.send(None)
        connection.send(answered(model, orders.request, items))


def _loaded(folder: Path, orders: Orders) -> OfflineWorker:
    gpus, threads = torch.cuda.device_count(), torch.get_num_threads()
    model = OfflineWorker(folder, orders.batch, orders.number % gpus if gpus else None)
    if orders.share is not None:
        torch.set_num_threads(max(1, threads // orders.share))
    return model


def _read_on(connection: Connection, orders: Orders, parts: queue.Queue[Part]) -> None:
    """Read what is asked by a connection; its end is the end of this process."""
    with ThreadPoolExecutor(s3.AT_ONCE) as readers:
        try:
            while True:
                for part in _parts(readers, connection.recv(), orders.limit):
                    parts.put((connection, part))
        except (EOFError, OSError):
            os._exit(0)  # nobody waits for what the model is at
        except Exception:
            logging.exception("reading failed")
            os._exit(FAILED)  # else nobody would hear of it


def _parts(readers: ThreadPoolExecutor, items: list[Item], limit: int) -> Iterator[list[Item]]:
    """Yield inputs that are read, in parts that can be held."""
    part, held = [], 0
    for start in range(0, len(items), s3.AT_ONCE):
        window = items[start : start + s3.AT_ONCE]
        is_far = any(s3.is_address(item.path) for item in window)
        for item in (readers.map if is_far else map)(partial(read, limit=limit), window):
            part.append(item)
            held += len(item.data or b"")
            if held > HELD_BYTES:
                yield part
                part, held = [], 0
    if part:
        yield part


def answered(model: OfflineWorker, request: PredictionRequest, items: list[Item]) -> list[Result]:
    """Ask a model about inputs that are read, together, and say what came of each."""
    asked = [item for item in items if item.data is not None]
    started = time.perf_counter()
    requests = [_request_of(request, item, at) for at, item in enumerate(asked)]
    replies = model.ask(*requests) if requests else []
    took = round(time.perf_counter() - started, 6)
    failed = [
        Result(item.name, problem=item.problem, seconds={"read": item.read_seconds})
        for item in items
        if item.data is None
    ]
    return failed + [_result(item, reply, took) for item, reply in zip(asked, replies, strict=True)]


def _request_of(request: PredictionRequest, item: Item, at: int) -> WorkerRequest:
    data = item.data or b""
    headers = request.headers(type_by(PurePath(item.path), data[:HEAD]))
    known_as = item.name.encode("ascii", "backslashreplace").decode()
    return WorkerRequest(headers, data, id=f"{at}-{known_as}")


def _result(item: Item, reply: WorkerReply, took: float) -> Result:
    seconds = {"read": item.read_seconds, **_stages(reply, took)}
    content_type = answer_type(reply.content_type, reply.body[:HEAD])
    if reply.status == 200 and reply.raised is None:
        return Result(item.name, 200, content_type, reply.body, seconds=seconds)
    problem = f"{reply.status} {reply.raised or _words(reply.body)}"
    said = reply.headers.get("retry-after", "")
    after = min(float(said), LONGEST_PAUSE) if said.isdecimal() else 0.0
    return Result(item.name, reply.status, "", b"", problem, seconds, after)


def _stages(reply: WorkerReply, took: float) -> dict[str, float]:
    """Return the seconds that a reply says its stages took; else those of its whole batch."""
    stated = STAGE.findall(reply.headers.get("server-timing", ""))
    return {name: round(float(ms) / 1000, 6) for name, ms in stated} or {"batch": took}


def _words(body: bytes) -> str:
    """Return what an error's body says."""
    text = body.decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500] or "without a word"


if __name__ == "__main__":
    sys.exit(main())
