"""Explanations: in every declared form, or an honest refusal."""

from __future__ import annotations

import time

from marquee.archives.comparison import media_type
from marquee.conformance.result import Failed
from marquee.conformance.subject import Subject, error_problem, fail_if, good_problem, trace_in

# As few as allowed: whether it works is asked here, not how well.
STEPS = "steps"
SECONDS = 5.0


def explanations(subject: Subject) -> str:
    """``/explanations`` is answered in every declared type, or refused with a reason."""
    asked = subject.asked(explain="True")
    offer = subject.offer.get("explanations")
    if subject.offer and not offer:
        fail_if({"refused": error_problem(subject.one(asked), (422,))})
        return "none, and it says why"
    if not offer:
        reply = subject.one(asked)
        if reply.raised is not None or trace_in(reply.body):
            raise Failed(reply.raised or "the answer shows a stack trace")
        return f"answered with {reply.status}"
    few = offer["parameters"]["properties"].get(STEPS, {}).get("minimum")
    steps = {} if few is None else {"X_Marquee_Steps": str(int(few))}
    return _all_types(subject, offer["produces"], steps)


def _all_types(subject: Subject, kinds: list[str], steps: dict[str, str]) -> str:
    """Ask for each type, as long as there is time: they are forms of the same explanation."""
    end, asked = time.monotonic() + SECONDS, 0
    for kind in kinds:
        fail_if({kind: _problem(subject, kind, steps)})
        asked += 1
        if time.monotonic() > end:
            break
    left = f"; not asked for lack of time: {', '.join(kinds[asked:])}" if kinds[asked:] else ""
    return ", ".join(kinds[:asked]) + left


def _problem(subject: Subject, kind: str, steps: dict[str, str]) -> str | None:
    reply = subject.one(subject.asked(explain="True", Accept=kind, **steps))
    found = media_type(reply.content_type)
    return good_problem(reply) or (None if found == kind else f"the answer is {found}")
