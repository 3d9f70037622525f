"""The handler under test, what its archive and its description say of it, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import fastjsonschema

from marquee.archives.comparison import difference, spread
from marquee.archives.trial import example_request
from marquee.archives.worker import OfflineWorker, WorkerReply, WorkerRequest
from marquee.media import JSON, media_type

# Between answers of one process: only the size of a batch may move the last digits.
SAME = 0.01
UNPROCESSABLE = 422
# What no answer may show of the inside of a worker.
TRACES = ("Traceback (most recent call last)", 'File "')
Validator: TypeAlias = Callable[[Any], Any]
OK, FAILED, SKIPPED = "ok", "failed", "skipped"


class CheckFailed(Exception):
    """The handler does not do what it should; the text says what it did."""


class CheckSkipped(Exception):
    """The check has no meaning for this handler; the text says why."""


@dataclass(frozen=True)
class CheckResult:
    """One line of the table.

    Attributes:
        check: its name.
        outcome: ``ok``, ``failed`` or ``skipped``.
        detail: what went wrong, why it was skipped, or what was seen.
        seconds: it took.
    """

    check: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0


class Subject:
    """A loaded handler.

    Args:
        worker: that loaded it.
        folder: the unpacked archive.
        archive: the file it came from.
    """

    def __init__(self, worker: OfflineWorker, folder: Path, archive: Path) -> None:
        self.worker = worker
        self.folder = folder
        self.archive = archive

    @cached_property
    def description(self) -> WorkerReply:
        """What the handler answers to TorchServe's ``customized=true``."""
        asked = WorkerRequest({"describe": "True", "explain": "False"}, body=None)
        return self.worker.ask(asked)[0]

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
            raise CheckSkipped("its description does not say what it reads and answers")

    @cached_property
    def example(self) -> Path:
        """The first example."""
        examples = sorted(self.folder.glob("example.*"))
        if not examples:
            raise CheckSkipped("the archive has no example.*")
        return examples[0]

    def request(self, body: Any = None, **headers: str) -> WorkerRequest:
        """Return the request that sends the example, or another body.

        Further headers win, and an empty one takes another away; ``_`` in their names is ``-``.
        """
        request = example_request(self.worker.handler, self.example, None)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        replaced = {name.lower() for name in named}
        kept = {key: value for key, value in request.headers.items() if key.lower() not in replaced}
        merged = kept | {name: value for name, value in named.items() if value}
        return WorkerRequest(merged, request.body if body is None else body)

    @cached_property
    def answer(self) -> WorkerReply:
        """The answer to the example."""
        reply = self.ask(self.request())
        if reply.status == UNPROCESSABLE:
            # The network works and says no: another's weights need not like our sample.
            raise CheckSkipped(
                f"the example was refused ({excerpt(reply.body)}); a sample of yours, "
                "weights/<model>/example.*, would be taken in its place"
            )
        problem = good_problem(reply)
        if problem is not None:
            raise CheckFailed(problem)
        return reply

    def ask(self, request: WorkerRequest) -> WorkerReply:
        """Send one request; an answer in JSON must be as the handler declares.

        Raises:
            CheckFailed: it is not.
        """
        reply = self.worker.ask(request)[0]
        held = self._held[request.headers.get("explain") == "True"]
        if held is not None and reply.status == 200 and media_type(reply.content_type) == JSON:
            problem = _undeclared(held, reply.body)
            if problem is not None:
                raise CheckFailed(problem)
        return reply

    @cached_property
    def _held(self) -> tuple[Validator | None, Validator | None]:
        """What answers are held to: those of predictions, those of explanations."""
        explained = self.offer.get("explanations") or {}
        return _validator(self.offer.get("answers")), _validator(explained.get("answers"))


def _validator(schema: dict[str, Any] | None) -> Validator | None:
    if schema is None:
        return None
    try:
        # Compiled: a picture as nested lists has hundreds of thousands of numbers.
        compiled: Validator = fastjsonschema.compile(schema, use_default=False)
    except (fastjsonschema.JsonSchemaDefinitionException, AttributeError, TypeError) as error:
        raise CheckFailed(
            f"what it declares of its answers is no JSON Schema: {error}; see "
            "handlers/runtime/answers.py"
        ) from error
    return compiled


def _undeclared(validator: Validator, body: bytes) -> str | None:
    """Return how JSON differs from what is declared of it."""
    try:
        validator(json.loads(body))
    except ValueError as error:
        declared = isinstance(error, fastjsonschema.JsonSchemaValueException)
        words = str(error).replace("data", "the answer", 1) if declared else f"no JSON: {error}"
        return f"not what its 'answers' declares: {words[:300]}"
    return None


def good_problem(reply: WorkerReply) -> str | None:
    """Return what is wrong with an answer that should be a success."""
    if reply.raised is not None:
        return f"{reply.raised}; TorchServe fails the whole batch for that"
    if reply.status != 200:
        return f"answered with {reply.status}: {excerpt(reply.body)}"
    return None if reply.body else "the answer is empty"


def error_problem(reply: WorkerReply, statuses: Iterable[int]) -> str | None:
    """Return what is wrong with an answer that should be an error of our JSON shape."""
    expected = " or ".join(str(status) for status in statuses)
    if reply.raised is not None:
        return f"{reply.raised}; expected an answer of its own with {expected}"
    if reply.status not in statuses:
        return f"answered with {reply.status}, expected {expected}: {excerpt(reply.body)}"
    if _trace_in(reply):
        return harm(reply)
    kind = media_type(reply.content_type)
    if kind != JSON:
        return f"the error's content type is {kind or 'absent'}, expected {JSON}"
    return _shape_problem(reply)


def _shape_problem(reply: WorkerReply) -> str | None:
    try:
        said = json.loads(reply.body)
    except ValueError:
        return f"the error is no JSON: {excerpt(reply.body)}"
    if not isinstance(said, dict) or set(said) != {"code", "type", "message"}:
        return f"the error has not the fields code, type, message: {excerpt(reply.body)}"
    if said["code"] != reply.status or not said["message"]:
        return f"the error's code is not its status, or it has no message: {excerpt(reply.body)}"
    return None


def harm(reply: WorkerReply) -> str | None:
    """Return what is wrong with an answer that may be a success or any error."""
    if reply.raised is not None:
        return good_problem(reply)
    return f"the answer shows a stack trace: {excerpt(reply.body)}" if _trace_in(reply) else None


def _trace_in(reply: WorkerReply) -> bool:
    text = reply.body.decode(errors="replace")
    return any(trace in text for trace in TRACES)


def unlike(expected: WorkerReply, actual: WorkerReply) -> str | None:
    """Return how a success differs from what it should be."""
    problem = good_problem(actual)
    if problem is not None:
        return problem
    kind = expected.content_type
    if media_type(kind) != media_type(actual.content_type):
        return f"the answer is {actual.content_type}, expected {kind}"
    return difference(kind, expected.body, actual.body, SAME * spread(kind, expected.body))


def excerpt(body: bytes) -> str:
    """Return the beginning of an answer."""
    text = " ".join(body[:300].decode(errors="replace").split())
    return text if len(text) <= 160 else text[:157] + "..."


def fail_if(problems: dict[str, str | None]) -> None:
    """Fail with all the problems that there are, each after the name of its case."""
    listed = [f"{name}: {problem}" for name, problem in problems.items() if problem is not None]
    if listed:
        raise CheckFailed("; ".join(listed))
