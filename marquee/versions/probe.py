"""Ask versions of a model what their archive knows the answer to, and how long they take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from marquee.archives import golden
from marquee.errors import MarqueeError
from marquee.interrupts import waited
from marquee.project import Project
from marquee.torchserve.management import keys_of
from marquee.torchserve.readiness import OWN_MARK
from marquee.torchserve.watch import example_of

# Requests whose times are compared, and how often each is sent to either version, at the most.
TIMED_REQUESTS = 3
ROUNDS = 15
TIMED_SECONDS = 5.0
# On every answer of marquee's own handlers: the process id of the worker that gave it.
WORKER_HEADER = "x-marquee-worker"


class Question(Protocol):
    """A request, and what to think of its answer: a golden one or another."""

    @property
    def name(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    def problem(self, status: int, content_type: str, body: bytes) -> str | None: ...


@dataclass(frozen=True)
class Example:
    """A request without a known answer: only a failure of the server's is wrong."""

    name: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def problem(self, status: int, _type: str, body: bytes) -> str | None:
        """Return what is wrong with an answer, or None."""
        if status < 500:
            return None
        return f"{self.name}: answered with {status}: {body[:200].decode(errors='replace')}"


def questions(archive: Path | None) -> list[Question]:
    """Return an archive's golden requests; without any, its example; else nothing."""
    if archive is None or not archive.exists():
        return []
    found: list[Question] = [*golden.read(archive)]
    if found:
        return found
    example = example_of(archive)
    return [] if example is None else [Example("its example", example.body, example.headers)]


def told(asked: Sequence[Question]) -> str:
    """Say in words what it means that all of these were answered."""
    if not asked:
        return "the archive has neither golden requests nor an example: it loads, that is all"
    if isinstance(asked[0], Example):
        return "its example is answered; the archive has no golden requests"
    return f"{len(asked)} golden requests answered as expected"


class Inference:
    """A connection to the inference address of the project's server, for its operator."""

    def __init__(self, project: Project, model: str, timeout: float) -> None:
        self._model = model
        self._keys = keys_of(project)
        address = project.properties["inference_address"]
        self._client = httpx.Client(base_url=address, timeout=timeout, trust_env=False)

    def __enter__(self) -> Inference:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, question: Question, version: str | None) -> float:
        """Send a request to a version (None: the default); return the seconds it took.

        Raises:
            MarqueeError: the answer is not what the question expects, or there is none.
        """
        start = time.perf_counter()
        answer = self.answer(question, version)
        seconds = time.perf_counter() - start
        kind = answer.headers.get("content-type", "")
        problem = question.problem(answer.status_code, kind, answer.content)
        if problem is not None:
            raise MarqueeError(problem)
        return seconds

    def answer(self, question: Question, version: str | None) -> httpx.Response:
        """Send a request to a version (None: the default); return its answer, whatever it is.

        Raises:
            MarqueeError: there is none.
        """
        path = f"/predictions/{self._model}" + (f"/{version}" if version else "")
        headers = dict(question.headers)
        if self._keys is not None:
            headers["Authorization"] = f"Bearer {self._keys.get('inference')}"
        start = time.perf_counter()
        try:
            return waited(lambda: self._post(f"{path}?{OWN_MARK}", question.body, headers))
        except httpx.TimeoutException as error:
            took = time.perf_counter() - start
            raise MarqueeError(f"{question.name}: no answer after {took:.0f} s") from error
        except httpx.TransportError as error:
            raise MarqueeError(f"{question.name}: no answer ({error})") from error

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        try:
            return self._client.post(path, content=body, headers=headers)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # TorchServe closes connections after errors, at times under the next request.
            return self._client.post(path, content=body, headers=headers)

    def answered(self, question: Question, version: str) -> bool:
        """Send a request and wait for an answer of any kind; return whether one came."""
        anything = Example(question.name, question.body, question.headers)
        try:
            self.ask(anything, version)
        except MarqueeError:
            return False
        return True


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of the same requests to two versions; None where one has no answer."""

    old_ms: float | None
    new_ms: float | None

    def problem(self, slowdown: float, floor_ms: float) -> str | None:
        """Return why the new version is too slow, or None.

        Too slow is more than ``slowdown`` times the old one and more than ``floor_ms`` above it:
        on a busy machine a few milliseconds are noise.
        """
        if self.old_ms is None or self.new_ms is None:
            return None
        if self.new_ms <= max(self.old_ms * slowdown, self.old_ms + floor_ms):
            return None
        return (
            f"it takes {self.new_ms:.1f} ms for its golden requests, the old one "
            f"{self.old_ms:.1f} ms; at most {slowdown:g} times that is taken (--max-slowdown)"
        )


def compare(inference: Inference, asked: Sequence[Question], old: str, new: str) -> Latency:
    """Time some requests to both versions in turns, so that the machine's mood falls on both."""
    times: dict[str, list[float]] = {old: [], new: []}
    timed = list(asked[:TIMED_REQUESTS])
    deadline = time.monotonic() + TIMED_SECONDS
    for _ in range(ROUNDS):
        for question in timed:
            for version, seen in times.items():
                start = time.perf_counter()
                # The old version may know nothing of this request, and answer accordingly.
                if inference.answered(question, version):
                    seen.append(time.perf_counter() - start)
        if time.monotonic() > deadline:
            break
    medians = [1000 * statistics.median(seen) if seen else None for seen in times.values()]
    return Latency(*medians)
