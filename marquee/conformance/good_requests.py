"""Good requests in every form, and every declared answer, explanations included."""

from __future__ import annotations

import base64
import json
import time

from marquee.archives import golden
from marquee.archives.comparison import difference
from marquee.archives.worker import WorkerRequest
from marquee.conformance.subject import (
    CheckFailed,
    CheckSkipped,
    Subject,
    error_problem,
    excerpt,
    fail_if,
    good_problem,
    harm,
    unlike,
)
from marquee.media import JSON, OCTETS, media_type

PARTS = ("image", "data", "file", "body")
MULTIPART = "multipart/form-data; boundary=x"
# As few as allowed: whether it explains is asked here, not how well.
STEPS = "steps"
EXPLAIN_SECONDS = 5.0


def description(subject: Subject) -> str:
    """It answers TorchServe's request for a description, which has no body."""
    problem = good_problem(subject.description)
    if problem is not None:
        # Handlers of our kind answer a request for their description.
        if hasattr(subject.worker.handler, "describe"):
            raise CheckFailed(problem)
        raise CheckSkipped(f"it has no description: {problem}")
    return "" if subject.offer else "it says nothing of what it reads and answers"


def example(subject: Subject) -> str:
    """It answers its own example, twice the same."""
    answer = subject.answer
    fail_if({"asked again": unlike(answer, subject.ask(subject.request()))})
    size = f"{media_type(answer.content_type) or 'no type'}, {len(answer.body)} bytes"
    if not answer.pieces:
        return size
    return f"{size} in {len(answer.pieces)} pieces: {excerpt(b' | '.join(answer.pieces))}"


def golden_requests(subject: Subject) -> str:
    """It answers its golden requests as on the day its archive was made."""
    requests = golden.read(subject.archive)
    if not requests:
        raise CheckSkipped("the archive has none")
    problems: dict[str, str | None] = {}
    for one in requests:
        reply = subject.ask(WorkerRequest(one.headers, one.body))
        problems[one.name] = one.problem(reply.status, reply.content_type, reply.body)
    fail_if(problems)
    return f"{len(requests)} requests"


def content_types(subject: Subject) -> str:
    """The example says the same as raw bytes, as base64 in JSON, and as a part of a form."""
    subject.need_offer()
    forms = _forms(subject)
    answer = subject.answer
    fail_if({name: unlike(answer, subject.ask(request)) for name, request in forms.items()})
    listed = subject.request(_json({"instances": [_base64(subject)]}), Content_Type=JSON)
    fail_if({"instances in JSON": good_problem(subject.ask(listed))})
    return f"{len(forms) + 1} forms"


def _forms(subject: Subject) -> dict[str, WorkerRequest]:
    whole, value = subject.request(), {"image": _base64(subject)}
    forms = {
        "raw": whole,
        "raw without a type": subject.request(Content_Type=""),
        f"raw as {OCTETS}": subject.request(Content_Type=OCTETS),
        "base64 in JSON": subject.request(_json(value), Content_Type=JSON),
        "base64 in JSON, parsed by the server": subject.request(value, Content_Type=JSON),
    }
    kinds = {f"multipart '{name}'": (name, whole.headers["Content-Type"]) for name in PARTS}
    kinds["multipart without a type"] = (PARTS[0], "text/plain")
    headers = subject.request(Content_Type=MULTIPART).headers
    return forms | {
        form: WorkerRequest(headers, parts=((name, kind, whole.body),))
        for form, (name, kind) in kinds.items()
    }


def _base64(subject: Subject) -> str:
    return base64.b64encode(subject.request().body).decode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def accepts(subject: Subject) -> str:
    """It answers in every type that it declares, and refuses others with 406."""
    subject.need_offer()
    fail_if({kind: _answer_problem(subject, kind) for kind in subject.produces})
    default = subject.ask(subject.request(Accept="*/*"))
    refused = {
        accept: error_problem(subject.ask(subject.request(Accept=accept)), (406,))
        for accept in ("text/html", "*/*;q=0")
    }
    fail_if({"*/*": unlike(subject.answer, default), **refused})
    return ", ".join(_named(subject, kind) for kind in subject.produces)


def _named(subject: Subject, kind: str) -> str:
    undeclared = kind == JSON and subject.offer.get("answers") is None
    return f"{kind} (of no declared shape)" if undeclared else kind


def _answer_problem(subject: Subject, kind: str, **headers: str) -> str | None:
    reply = subject.ask(subject.request(Accept=kind, **headers))
    if good_problem(reply) or media_type(reply.content_type) != kind:
        return good_problem(reply) or f"the answer is {reply.content_type or 'of no type'}"
    # Compared with other bytes, so that it is read at all.
    problem = difference(kind, reply.body, reply.body + b" ", 0)
    return problem if problem and "cannot be read" in problem else None


def explanations(subject: Subject) -> str:
    """``/explanations`` is answered in every declared type, or refused with a reason."""
    request = subject.request(explain="True")
    offer = subject.offer.get("explanations")
    if subject.offer and not offer:
        fail_if({"refused": error_problem(subject.ask(request), (422,))})
        return "none, and it says why"
    if not offer:
        reply = subject.ask(request)
        fail_if({"asked for one": harm(reply)})
        return f"answered with {reply.status}"
    few = offer["parameters"]["properties"].get(STEPS, {}).get("minimum")
    steps = {} if few is None else {"X_Marquee_Steps": str(int(few))}
    return _all_explained(subject, offer["produces"], steps)


def _all_explained(subject: Subject, kinds: list[str], steps: dict[str, str]) -> str:
    """Ask for each type, as long as there is time: they are forms of the same explanation."""
    end, asked = time.monotonic() + EXPLAIN_SECONDS, 0
    for kind in kinds:
        fail_if({kind: _answer_problem(subject, kind, explain="True", **steps)})
        asked += 1
        if time.monotonic() > end:
            break
    left = f"; not asked for lack of time: {', '.join(kinds[asked:])}" if kinds[asked:] else ""
    return ", ".join(kinds[:asked]) + left
