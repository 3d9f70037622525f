"""What came of a check."""

from __future__ import annotations

from dataclasses import dataclass

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
