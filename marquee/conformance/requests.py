"""Good requests in every form, and every declared answer."""

from __future__ import annotations

import base64
import json

from marquee.archives.comparison import JSON, difference, media_type
from marquee.archives.worker import Asked
from marquee.conformance.result import Failed, Skipped
from marquee.conformance.subject import (
    Subject,
    error_problem,
    fail_if,
    good_problem,
    shown,
    unlike,
)
from marquee.conformance.subject import with_headers as headed

PARTS = ("image", "data", "file", "body")
MULTIPART = "multipart/form-data; boundary=x"
OCTETS = "application/octet-stream"


def described(subject: Subject) -> str:
    """It answers TorchServe's request for a description, which has no body."""
    reply = subject.description
    why = good_problem(reply)
    if why is not None and not subject.describes_itself:
        raise Skipped(f"it has no description: {why}")
    if why is not None:
        raise Failed(why)
    return "" if subject.offer else "it says nothing of what it reads and answers"


def example(subject: Subject) -> str:
    """It answers its own example, twice the same."""
    why = unlike(subject.answer, subject.one(subject.asked()))
    if why is not None:
        raise Failed(f"asked again: {why}")
    answer = subject.answer
    told = f"{media_type(answer.content_type) or 'no type'}, {len(answer.body)} bytes"
    if not answer.pieces:
        return told
    return f"{told} in {len(answer.pieces)} pieces: {shown(b' | '.join(answer.pieces))}"


def content_types(subject: Subject) -> str:
    """The example says the same as raw bytes, as base64 in JSON, and as a part of a form."""
    subject.need_offer()
    forms = _forms(subject)
    fail_if({name: unlike(subject.answer, subject.one(asked)) for name, asked in forms.items()})
    listed = _json(subject, {"instances": [_base64(subject)]})
    fail_if({"instances in JSON": good_problem(subject.one(listed))})
    return f"{len(forms) + 1} forms"


def _forms(subject: Subject) -> dict[str, Asked]:
    whole = subject.asked()
    value = {"image": _base64(subject)}
    forms = {
        "raw": whole,
        "raw without a type": headed(whole, Content_Type=""),
        f"raw as {OCTETS}": headed(whole, Content_Type=OCTETS),
        "base64 in JSON": _json(subject, value),
        "base64 in JSON, parsed by the server": Asked(_json(subject, value).headers, value),
    }
    kind = whole.headers["Content-Type"]
    for name in PARTS:
        forms[f"multipart '{name}'"] = _form(whole, name, kind)
    return forms | {"multipart without a type": _form(whole, PARTS[0], "text/plain")}


def _form(whole: Asked, name: str, kind: str) -> Asked:
    headers = headed(whole, Content_Type=MULTIPART).headers
    return Asked(headers, parts=((name, kind, whole.body),))


def _base64(subject: Subject) -> str:
    return base64.b64encode(subject.asked().body).decode()


def _json(subject: Subject, value: object) -> Asked:
    return Asked(headed(subject.asked(), Content_Type=JSON).headers, json.dumps(value).encode())


def accepts(subject: Subject) -> str:
    """It answers in every type that it declares, and refuses others with 406."""
    subject.need_offer()
    fail_if({kind: _answer_problem(subject, kind) for kind in subject.produces})
    default = subject.one(subject.asked(Accept="*/*"))
    refused = {
        accept: error_problem(subject.one(subject.asked(Accept=accept)), (406,))
        for accept in ("text/html", "*/*;q=0")
    }
    fail_if({"*/*": unlike(subject.answer, default), **refused})
    return ", ".join(subject.produces)


def _answer_problem(subject: Subject, kind: str) -> str | None:
    reply = subject.one(subject.asked(Accept=kind))
    if good_problem(reply) or media_type(reply.content_type) != kind:
        return good_problem(reply) or f"the answer is {reply.content_type or 'of no type'}"
    # Compared with other bytes, so that it is read at all.
    why = difference(kind, reply.body, reply.body + b" ", 0)
    return why if why and "cannot be read" in why else None
