"""The handler under test, and what its archive and its own description say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from marquee.archives.comparison import JSON, difference, media_type, spread
from marquee.archives.trial import example_request
from marquee.archives.worker import Asked, Reply, Worker
from marquee.conformance.result import Failed, Skipped

# Between answers of one process: only the size of a batch may move the last digits.
SAME = 0.01
# What no answer may show of the inside of a worker.
UNPROCESSABLE = 422
TRACES = ("Traceback (most recent call last)", 'File "')


class Subject:
    """A loaded handler.

    Args:
        worker: that loaded it.
        folder: the unpacked archive.
        archive: the file it came from.
    """

    def __init__(self, worker: Worker, folder: Path, archive: Path) -> None:
        self.worker = worker
        self.folder = folder
        self.archive = archive

    @cached_property
    def description(self) -> Reply:
        """What the handler answers to TorchServe's ``customized=true``."""
        return self.one(Asked({"describe": "True", "explain": "False"}, body=None))

    @cached_property
    def offer(self) -> dict[str, Any]:
        """The description where it is one of ours, else nothing."""
        try:
            said = json.loads(self.description.body)
        except ValueError:
            return {}
        is_ours = isinstance(said, dict) and {"consumes", "produces", "parameters"} <= said.keys()
        return said if is_ours else {}

    @property
    def describes_itself(self) -> bool:
        """Whether it is of our kind, which answers a request for its description."""
        return hasattr(self.worker.handler, "describe")

    @property
    def consumes(self) -> list[str]:
        """The media types it reads; none of a handler that does not say."""
        return list(self.offer.get("consumes", ()))

    @property
    def produces(self) -> list[str]:
        """The media types it answers in, the default first."""
        return list(self.offer.get("produces", ()))

    @property
    def parameters(self) -> dict[str, Any]:
        """Name -> JSON Schema of each parameter."""
        return dict(self.offer.get("parameters", {}).get("properties", {}))

    def need_offer(self) -> None:
        """Skip what needs to know what the handler reads and answers."""
        if not self.offer:
            raise Skipped("its description does not say what it reads and answers")

    @cached_property
    def example(self) -> Path:
        """The first example."""
        found = sorted(self.folder.glob("example.*"))
        if not found:
            raise Skipped("the archive has no example.*")
        return found[0]

    def asked(self, **headers: str) -> Asked:
        """Return the request that sends the example; ``_`` in a header's name becomes ``-``."""
        asked = example_request(self.worker.handler, self.example, None)
        return with_headers(asked, **headers)

    @cached_property
    def answer(self) -> Reply:
        """The answer to the example."""
        reply = self.one(self.asked())
        if reply.status == UNPROCESSABLE:
            # The network works and says no: another's weights need not like our sample.
            raise Skipped(
                f"the example was refused ({shown(reply.body)}); a sample of yours, "
                "weights/<model>/example.*, would be taken in its place"
            )
        why = good_problem(reply)
        if why is not None:
            raise Failed(why)
        return reply

    def one(self, asked: Asked) -> Reply:
        """Send one request."""
        return self.worker.ask(asked)[0]


def with_headers(asked: Asked, **headers: str) -> Asked:
    """Return a request with further headers, which win; an empty value takes one away."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    replaced = {name.lower() for name in named}
    kept = {key: value for key, value in asked.headers.items() if key.lower() not in replaced}
    merged = kept | {name: value for name, value in named.items() if value}
    return Asked(merged, asked.body, asked.parts)


def good_problem(reply: Reply) -> str | None:
    """Return what is wrong with an answer that should be a success."""
    if reply.raised is not None:
        return f"{reply.raised}; TorchServe fails the whole batch for that"
    if reply.status != 200:
        return f"answered with {reply.status}: {shown(reply.body)}"
    return None if reply.body else "the answer is empty"


def error_problem(reply: Reply, statuses: Iterable[int]) -> str | None:
    """Return what is wrong with an answer that should be an error of our JSON shape."""
    expected = " or ".join(str(status) for status in statuses)
    if reply.raised is not None:
        return f"{reply.raised}; expected an answer of its own with {expected}"
    if reply.status not in statuses:
        return f"answered with {reply.status}, expected {expected}: {shown(reply.body)}"
    if trace_in(reply.body):
        return f"the answer shows a stack trace: {shown(reply.body)}"
    kind = media_type(reply.content_type)
    if kind != JSON:
        return f"the error's content type is {kind or 'absent'}, expected {JSON}"
    return _shape_problem(reply)


def _shape_problem(reply: Reply) -> str | None:
    try:
        said = json.loads(reply.body)
    except ValueError:
        return f"the error is no JSON: {shown(reply.body)}"
    if not isinstance(said, dict) or set(said) != {"code", "type", "message"}:
        return f"the error has not the fields code, type, message: {shown(reply.body)}"
    if said["code"] != reply.status or not said["message"]:
        return f"the error's code is not its status, or it has no message: {shown(reply.body)}"
    return None


def trace_in(body: bytes) -> bool:
    """Tell whether an answer shows a stack trace."""
    text = body.decode(errors="replace")
    return any(trace in text for trace in TRACES)


def unlike(expected: Reply, found: Reply) -> str | None:
    """Return how a success differs from what it should be."""
    why = good_problem(found)
    if why is not None:
        return why
    if media_type(expected.content_type) != media_type(found.content_type):
        return f"the answer is {found.content_type}, expected {expected.content_type}"
    kind = expected.content_type
    tolerance = SAME * spread(kind, expected.body)
    return difference(kind, expected.body, found.body, tolerance)


def shown(body: bytes) -> str:
    """Return the beginning of an answer."""
    text = " ".join(body[:300].decode(errors="replace").split())
    return text if len(text) <= 160 else text[:157] + "..."


def fail_if(problems: dict[str, str | None]) -> None:
    """Fail with all the problems that there are, each after the name of its case."""
    found = [f"{name}: {why}" for name, why in problems.items() if why is not None]
    if found:
        raise Failed("; ".join(found))
