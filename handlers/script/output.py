"""What a script prints goes to the log: a worker's stdout is TorchServe's control channel."""

from __future__ import annotations

import io
import logging
import sys


class LogLines(io.TextIOBase):
    """A text stream that logs each line written to it.

    TorchServe obeys lines that start with ``[METRICS]``, ``[PID]`` and the like; the words in
    front of each line keep a script's from being taken for such.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._logger.info("script printed: %s", line)
        return len(text)


def capture_stdout(logger: logging.Logger) -> None:
    """Log from now on what this process prints with Python; once is enough."""
    if not isinstance(sys.stdout, LogLines):
        sys.stdout = LogLines(logger)
