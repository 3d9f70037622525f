"""Logs of plain lines, cut and kept as TorchServe's own are."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES, LOG_FILES = 100 << 20, 5


class _LogFile(RotatingFileHandler):
    """Says once that nothing can be written, and again after something could be."""

    _failed = _told = False

    def emit(self, record: logging.LogRecord) -> None:
        self._failed = False
        super().emit(record)
        self._told = self._failed

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._failed = True
        if not self._told:
            sys.stderr.write(
                f"{self.baseFilename} cannot be written ({error.strerror}): requests are answered, "
                "and not logged; make room\n"
            )


def log_file(path: Path) -> logging.Logger:
    """Return a logger whose messages are lines of a file; a full disk stops nobody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.Logger(path.name)
    logger.addHandler(_LogFile(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES))
    return logger
