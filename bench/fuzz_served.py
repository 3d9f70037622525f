"""Broken requests to a running server's models, and what came of them and of the workers."""

from __future__ import annotations

import http.client
import io
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import numpy as np
import psutil

from bench.fuzz_edits import BYTES, JSON, Edit, in_body, in_head, in_png, word
from bench.fuzz_kind import Kind
from bench.fuzz_requests import encoded, multipart, picture, text64
from bench.fuzz_requests import http as request_bytes
from handlers.runtime.arrays import write_npy
from handlers.smoke.demo.export import write_geotiff
from handlers.smoke.model import BANDS, TILE
from tests.support import GOLDEN

# Of what a server may answer to a broken request beyond 4xx: it does not fit into memory.
DOCUMENTED = (507,)
CLIENTS = 4
SECONDS = 120
SAMPLES = 40
# Pixels of a picture in which no face is looked for.
SIDE = 24
# A client's library sends no others.
UNSENDABLE = {"content-length", "transfer-encoding", "connection", "host", "expect", "upgrade"}


@dataclass
class Outcome:
    """What came of a model's requests.

    Attributes:
        statuses: of the answers.
        failures: answers that no broken request may get, with the number of the request.
        resident: bytes of all workers together, in the order of time.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)

    @property
    def slope(self) -> float:
        """Bytes by which the workers grow with each request, over the second half."""
        half = self.resident[len(self.resident) // 2 :]
        if len(half) < 2:
            return 0.0
        each = sum(self.statuses.values()) / len(self.resident)
        return float(np.polyfit(np.arange(len(half)) * each, half, 1)[0])


def _cheap(model: str) -> Mapping[str, str]:
    """Return headers with which a request that is right takes little."""
    return {
        "inkwash": {"X-Marquee-Size": "32"},
        "timetravel": {"X-Marquee-Ages": "40"},
    }.get(model, {})


def _file(model: str) -> tuple[bytes, str]:
    """Return a small file that a model reads, and its type."""
    if model == "smoke":
        return _scene(), "image/tiff"
    if model == "timetravel":
        stream = io.BytesIO()
        picture(size=(SIDE, SIDE)).save(stream, "PNG")
        return stream.getvalue(), "image/png"
    if model == "cifar":
        return (GOLDEN / "cifar" / "8_ship.png").read_bytes(), "image/png"
    return encoded("JPEG"), "image/jpeg"


def _scene() -> bytes:
    """Return a tile with six bands and a mask, as smoke's own, in some thousand bytes."""
    rows = np.arange(TILE, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        write_geotiff(path, np.broadcast_to(rows, (TILE, TILE, BANDS)))
        return path.read_bytes()


def _seeds(model: str) -> Iterator[bytes]:
    data, media = _file(model)
    cheap = {name.replace("-", "_"): value for name, value in _cheap(model).items()}
    yield request_bytes(data, media, Accept="application/json, */*;q=0.5", **cheap)
    # A face is looked for and not found, but in this one.
    given = {"X_Marquee_Align": "false"} if model == "timetravel" else {}
    yield request_bytes(data, "application/octet-stream", Accept="*/*", **cheap, **given)
    yield request_bytes(json.dumps({"image": text64(data)}).encode(), **cheap)
    yield request_bytes(json.dumps({"instances": [{"b64": text64(data)}]}).encode(), **cheap)
    yield multipart([("image", data, f'; filename="a"\r\nContent-Type: {media}')], **cheap)
    array = np.zeros((3, 32, 32) if model == "cifar" else (8, 8, 6), np.uint8)
    yield request_bytes(write_npy(array), "application/x-npy", **cheap)
    yield request_bytes(
        data, media, X_Amzn_SageMaker_Custom_Attributes="X-Marquee-Top-K=3;trace=1", **cheap
    )


def _fitting(request: bytes, random: Random) -> bytes:
    """Break a request's body by the form it has."""
    if request.startswith(b"content-type: application/json"):
        return in_body(JSON)(request, random)
    if b"\x89PNG" in request[:2000]:
        return in_body((*BYTES, *map(in_png, BYTES)))(request, random)
    return in_body((*BYTES, word))(request, random)


EDITS: tuple[Edit, ...] = (_fitting, _fitting, _fitting, _fitting, in_head())


def kind_of(model: str) -> Kind:
    """Return the kind of a model's requests; nobody reads them here."""
    return Kind(f"served {model}", lambda: tuple(_seeds(model)), EDITS, len, ())


def asked(
    address: str,
    key: str,
    model: str,
    workers: Callable[[], Sequence[int]],
    numbers: range,
    *,
    seed: int = 1,
) -> Outcome:
    """Send a model's broken requests of these numbers, by several clients at once.

    Args:
        address: of the server, such as ``http://127.0.0.1:8080``.
        workers: returns the process ids of the model's workers.
    """
    outcome, lock, kind = Outcome(), threading.Lock(), kind_of(model)
    kind.seeds  # noqa: B018 - made before there are threads
    before = workers()
    waiting = iter(numbers)
    every = max(1, len(numbers) // SAMPLES)

    def ask_on() -> None:
        connection = _connected(address)
        while True:
            with lock:
                number = next(waiting, None)
                if number is not None and number % every == 0:
                    outcome.resident.append(_resident(before))
            if number is None:
                connection.close()
                return
            try:
                status, problem = _ask(connection, model, key, kind.case(seed, number))
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = _connected(address)
                status, problem = 0, f"no answer: {error!r}"
            with lock:
                outcome.statuses[status] += 1
                if problem:
                    outcome.failures.append(f"{model} {number}: {problem}")

    threads = [threading.Thread(target=ask_on) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = workers()
    if sorted(after) != sorted(before):
        outcome.failures.append(f"{model}: the workers were {before} and are {after}")
    return outcome


def _connected(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=SECONDS)


def _ask(
    connection: http.client.HTTPConnection, model: str, key: str, request: bytes
) -> tuple[int, str]:
    head, _, body = request.partition(b"\r\n\r\n")
    headers = {"Authorization": f"Bearer {key}", **_cheap(model), **_sendable(head)}
    try:
        connection.request("POST", f"/predictions/{model}", body, headers)
    except OSError:  # refused before all of it was sent: the answer is there to be read
        answer = connection.getresponse()
    else:
        answer = connection.getresponse()
    text = answer.read()
    return answer.status, _problem(answer.status, text)


def _sendable(head: bytes) -> dict[str, str]:
    """Return the headers of a request that HTTP has room for; it may have lost all."""
    pairs = (line.partition(b":") for line in head.split(b"\r\n"))
    found = {_name(name): _value(value) for name, _, value in pairs if _name(name)}
    return {name: value for name, value in found.items() if name.lower() not in UNSENDABLE}


@cache
def _letters() -> bytes:
    return bytes(range(0x21, 0x7F)).translate(None, b'"(),/:;<=>?@[\\]{}')


def _name(name: bytes) -> str:
    return bytes(one for one in name if one in _letters()).decode()[:100]


def _value(value: bytes) -> str:
    return bytes(one for one in value if 0x20 <= one != 0x7F).decode("latin-1").strip()[:4000]


def _problem(status: int, text: bytes) -> str:
    """Return what is wrong with an answer to a broken request; nothing if it may be."""
    if status < 400:
        return ""
    if status >= 500 and status not in DOCUMENTED:
        return f"{status} {text[:300]!r}"
    try:
        said = json.loads(text)
    except ValueError:
        return f"{status} without JSON: {text[:300]!r}"
    if set(said) != {"code", "type", "message"} or b"Traceback" in text:
        return f"{status} of another shape: {text[:300]!r}"
    return ""


def _resident(pids: Sequence[int]) -> int:
    found = 0
    for pid in pids:
        try:
            found += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return found
