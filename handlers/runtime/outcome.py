"""What comes of one item of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """One item's output, or the error that befell it.

    Attributes:
        output: tensors, in whatever the model's code put them.
        error: None where there is an output.
    """

    output: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Return the output, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.output
