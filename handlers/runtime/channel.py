"""Keeps what is logged from being obeyed: a worker's output is TorchServe's control channel.

TorchServe reads a worker's stdout and stderr line by line. One that begins with ``[METRICS]`` is
a measurement, one that begins with ``[PID]`` names the worker's process. Only TorchServe's own
code may write such lines; a log message may hold anything, such as a client's words in the text
of an exception. ``Torch worker started.`` counts only before a model is loaded.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from pathlib import Path
from typing import Any

# What ends a line for TorchServe's reader, java.util.Scanner.
BREAKS = "\n\r\u0085\u2028\u2029"
COMMAND = re.compile(rf"(?:^|(?<=[{BREAKS}]))(?=(?:INFO > )?\[(?:METRICS|PID)\])")
MARK = "| "
WORKER_PROGRAM = "model_service_worker.py"
# The logger that TorchServe reports measurements with.
METRICS = "ts.metrics.caching_metric"
# A line that costs as much as reading the batch does.
EVERY_BATCH = "Backend received inference at"


def harmless(text: str) -> str:
    """Return ``text`` with a mark before each line that TorchServe would obey."""
    return COMMAND.sub(MARK, text)


def serves_torchserve() -> bool:
    """Tell whether this process is a worker of TorchServe's, which reads its output."""
    program = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return Path(program).name == WORKER_PROGRAM


class HarmlessFormatter(logging.Formatter):
    """Formats as another formatter does, and marks the lines that would be obeyed."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, its traceback included."""
        return harmless(self._inner.format(record))


def guard_log() -> None:
    """Let no log line of this worker be taken for a command, but for TorchServe's measurements.

    These get a handler of their own, so that they arrive whatever a model's code does to the
    root logger.
    """
    if not serves_torchserve():
        return
    consoles = [handler for handler in logging.getLogger().handlers if console_of(handler)]
    _measure_apart(consoles)
    for handler in consoles:
        if not isinstance(handler.formatter, HarmlessFormatter):
            handler.setFormatter(HarmlessFormatter(handler.formatter))
    if _says_more not in logging.getLogger().filters:
        logging.getLogger().addFilter(_says_more)


def _says_more(record: logging.LogRecord) -> bool:
    """Pass over what TorchServe's worker says at every batch: the access log tells more."""
    return not (isinstance(record.msg, str) and record.msg.startswith(EVERY_BATCH))


def _measure_apart(consoles: list[logging.Handler]) -> None:
    metrics = logging.getLogger(METRICS)
    metrics.setLevel(logging.INFO)
    if not metrics.handlers and consoles:
        own: Any = logging.StreamHandler(getattr(consoles[0], "stream", None))
        own.setFormatter(logging.Formatter("%(message)s"))
        metrics.addHandler(own)
        metrics.propagate = False


def enable_log() -> None:
    """Undo what ``logging.config`` does to loggers that a model's configuration does not name."""
    for name, logger in logging.getLogger().manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.startswith(("handlers.", "ts.")):
            logger.disabled = False


def console_of(handler: logging.Handler) -> int:
    """Return 1 or 2 where a handler writes to this process's stdout or stderr, else 0."""
    stream = getattr(handler, "stream", None)
    try:
        number = stream.fileno() if stream is not None else 0
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return 0
    return number if number in (1, 2) else 0
