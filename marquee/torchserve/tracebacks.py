"""Read what ended a worker from the lines it wrote last."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# What TorchServe's worker writes above the traceback of a load that failed. A model may log
# tracebacks of its own, of exceptions that it caught: nothing like this stands above those.
HEADS = re.compile(
    r"Backend worker process died\.$|Failed to load model .*, exception|"
    r"Load model .* (?:cpu|cuda) OOM, exception"
)
START = re.compile(r"(?:Exception Group )?Traceback \(most recent call last\):")
CHAINED = {
    "The above exception was the direct cause of the following exception:": "caused by",
    "During handling of the above exception, another exception occurred:": "while handling",
}
# TorchServe's own last words after it has told the exception, and its second try to import a
# handler: under its own package.
NOT_THE_CAUSE = re.compile(
    r"RuntimeError: \d{3} - |ModuleNotFoundError: No module named '?ts\.torch_handler\.[^.']+'?$"
)
GROUP = "  + Exception Group Traceback"
FRAME = ("  ", "\t")
# Lines of one exception's text, exceptions of one chain and characters that are shown.
MAX_LINES, MAX_CHAIN, MAX_TEXT = 4, 3, 600


@dataclass(frozen=True)
class _Raised:
    """An exception of a chain: its text, and how it led to the next."""

    text: str
    led: str


def failure(lines: Sequence[str]) -> str | None:
    """Return what the last exception said that ended a load, with what led to it.

    Args:
        lines: what one worker process wrote to its standard output, oldest first.
    """
    starts = [index for index, line in enumerate(lines) if HEADS.match(line)]
    for first, end in reversed([*pairwise([*starts, len(lines)])]):
        chain = _chain([*_raised(lines[first + 1 : end])])
        if chain:
            return chain[:MAX_TEXT]
    return None


def _raised(lines: Sequence[str]) -> Iterator[_Raised]:
    """Yield the exceptions of a traceback in the order in which they were raised."""
    text: list[str] | None = None  # None: among the frames
    grouped = any(line.startswith(GROUP) for line in lines)
    for line in [_plain(line) for line in lines] if grouped else lines:
        led = CHAINED.get(line)
        if led and text:
            yield _Raised(_joined(text), led)
            text = None
        elif START.match(line):
            text = None
        elif text is not None:
            text.append(line)
        elif line and not line.startswith(FRAME):
            text = [line]
    if text:
        yield _Raised(_joined(text), "")


def _plain(line: str) -> str:
    """Return a line without the lines that an exception group draws at its left."""
    return re.sub(r"^ *[|+](?:-\+)?(?:-+ \d+ -+$| ?)", "", line)


def _joined(lines: list[str]) -> str:
    """Return the first lines of an exception's text as one."""
    written = [line.strip() for line in lines if line.strip(" -+|")]
    return " ".join(written[:MAX_LINES])


def _chain(raised: list[_Raised]) -> str:
    """Return the exception that was raised last, and those before it."""
    own = [one for one in raised if not NOT_THE_CAUSE.match(one.text)]
    if not own:
        return ""
    *before, last = own[-MAX_CHAIN:]
    return last.text + "".join(f" ({one.led} {one.text})" for one in reversed(before))
