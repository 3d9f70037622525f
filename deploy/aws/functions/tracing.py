"""Which trace a call belongs to, in W3C's words, so that the model's spans are part of it.

A client's ``traceparent`` counts first; else Lambda's own trace, which AWS X-Ray collects.
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar

HEADER = "traceparent"
PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# Lambda sets it anew for each call, where the function is traced.
XRAY = "_X_AMZN_TRACE_ID"
PARTS = {
    "Root": re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})"),
    "Parent": re.compile(r"Parent=([0-9a-f]{16})"),
    "Sampled": re.compile(r"Sampled=([01])"),
}

_sent = ContextVar("_sent", default="")


def came_with(text: str) -> None:
    """Note what a request says of its trace; what is no ``traceparent`` says nothing."""
    _sent.set(text if PARENT.fullmatch(text) else "")


def attributes() -> dict[str, str]:
    """Return the argument that tells an endpoint of the trace; none where there is no trace.

    Of a caller's headers SageMaker hands on its custom attributes alone.
    """
    parent = _sent.get() or _of_lambda()
    return {"CustomAttributes": f"{HEADER}={parent}"} if parent else {}


def _of_lambda() -> str:
    text = os.environ.get(XRAY, "")
    found = {name: part.search(text) for name, part in PARTS.items()}
    root, parent, sampled = found["Root"], found["Parent"], found["Sampled"]
    if root is None or parent is None:
        return ""
    flags = "01" if sampled is not None and sampled[1] == "1" else "00"
    return f"00-{root[1]}{root[2]}-{parent[1]}-{flags}"
