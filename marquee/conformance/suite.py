"""All checks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from marquee.archives import golden
from marquee.archives.worker import Asked
from marquee.conformance import bad_requests, batches, requests
from marquee.conformance.explanations import explanations
from marquee.conformance.memory import memory
from marquee.conformance.result import Skipped
from marquee.conformance.subject import Subject, fail_if

Check = Callable[[Subject], str]


def golden_requests(subject: Subject) -> str:
    """It answers its golden requests as on the day its archive was made."""
    listed = golden.read(subject.archive)
    if not listed:
        raise Skipped("the archive has none")
    problems: dict[str, str | None] = {}
    for one in listed:
        reply = subject.one(_asked(one))
        problems[one.name] = one.problem(reply.status, reply.content_type, reply.body)
    fail_if(problems)
    return f"{len(listed)} requests"


def _asked(one: golden.GoldenRequest) -> Asked:
    return Asked(one.headers, one.body)


CHECKS: dict[str, Check] = {
    "description": requests.described,
    "example": requests.example,
    "golden requests": golden_requests,
    "content types": requests.content_types,
    "answers by Accept": requests.accepts,
    "bad bodies": bad_requests.bodies,
    "bad JSON": bad_requests.json_bodies,
    "bad arrays": bad_requests.arrays,
    "bad pictures": bad_requests.pictures,
    "bad media types": bad_requests.media_types,
    "bad parameters": bad_requests.parameters,
    "batch against single": batches.batch_against_single,
    "bad requests in a batch": batches.bad_in_a_batch,
    "explanations": explanations,
    "memory": memory,
}
# Done by the process around them.
LOAD, SILENCE = "load", "silence on stdout"
NAMES = (LOAD, *CHECKS, SILENCE)
