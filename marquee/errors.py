"""The errors of the operator's side; their text is what the user reads."""

from typing import Any


class MarqueeError(Exception):
    """Says in a sentence what was wrong, what was expected and what to do."""


class Failed(MarqueeError):
    """An operation that went back to what was before.

    Attributes:
        record: what the history got.
    """

    def __init__(self, message: str, record: dict[str, Any]) -> None:
        super().__init__(message)
        self.record = record
