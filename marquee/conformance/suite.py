"""All checks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from marquee.conformance import bad_requests, batches, good_requests
from marquee.conformance.memory import memory
from marquee.conformance.subject import Subject

CHECKS: dict[str, Callable[[Subject], str]] = {
    "description": good_requests.description,
    "example": good_requests.example,
    "golden requests": good_requests.golden_requests,
    "content types": good_requests.content_types,
    "answers by Accept": good_requests.accepts,
    "bad bodies": bad_requests.bodies,
    "bad JSON": bad_requests.json_bodies,
    "bad arrays": bad_requests.arrays,
    "bad pictures": bad_requests.pictures,
    "bad media types": bad_requests.media_types,
    "bad parameters": bad_requests.parameters,
    "batch against single": batches.batch_against_single,
    "bad requests in a batch": batches.bad_in_a_batch,
    "explanations": good_requests.explanations,
    "memory": memory,
}
# Done by the process around them.
LOAD, SILENCE = "load", "silence on stdout"
NAMES = (LOAD, *CHECKS, SILENCE)
