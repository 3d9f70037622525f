"""What a script prints goes to the log: a worker's output is TorchServe's control channel.

The script finds its stdout and stderr as any program does: file descriptors 1 and 2, which its
logging, its C libraries and its child processes may write to. Behind them is a relay, which sees
to it that nothing they write is taken for a command.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TextIO

from handlers.runtime.channel import METRICS, console_of, guard_log, serves_torchserve
from handlers.script import relay

# Imported, so that archives, which hold what is imported, have it; run as a program.
RELAY = relay.__file__


@dataclass(frozen=True)
class _Captured:
    """Where stdout and stderr led before, and the process that reads what is written to them."""

    stdout: int
    stderr: int
    relay: subprocess.Popen[bytes]


_captured: list[_Captured] = []


def capture_output() -> None:
    """Put the relay behind this process's stdout and stderr; once is enough.

    What TorchServe logs goes where it went. Outside of TorchServe there is no log, and all that
    is printed comes to stderr.
    """
    if _captured:
        return
    guard_log()
    _flush()
    stdout, stderr = os.dup(1), os.dup(2)
    if serves_torchserve():
        _log_past_the_relay(stdout)
    relay = _behind(1, 2, stdout if serves_torchserve() else stderr, stderr)
    _captured.append(_Captured(stdout, stderr, relay))
    sys.stdout, sys.stderr = _by_lines(sys.stdout), _by_lines(sys.stderr)


def _by_lines(stream: TextIO) -> TextIO:
    """Return a stream that writes each line at once, where a pipe's would keep lines back.

    In UTF-8, whatever the locale.
    """
    if not isinstance(stream, io.TextIOWrapper) or stream.fileno() not in (1, 2):
        return stream
    if stream.seekable():
        # It was opened on a file, and would still ask what is a pipe now for its place in it.
        channel = stream.fileno()
        return open(channel, "w", 1, "utf-8", "backslashreplace", closefd=False)
    stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return stream


def release_output() -> None:
    """Lead stdout and stderr back to where they led, once all that was written has arrived."""
    while _captured:
        captured = _captured.pop()
        _flush()
        os.dup2(captured.stdout, 1)
        os.dup2(captured.stderr, 2)
        captured.relay.wait()
        os.close(captured.stdout)
        os.close(captured.stderr)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _behind(out: int, err: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Start the relay between ``out`` and ``err``, which become pipes, and where they led."""
    (out_from, out_to), (err_from, err_to) = os.pipe(), os.pipe()
    try:
        relay = subprocess.Popen(
            [sys.executable, "-I", "-S", RELAY, str(out_from), str(err_from)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(out_from, err_from),
            start_new_session=True,  # Ctrl-C at the server must not cut the last lines off
        )
        os.dup2(out_to, out)
        os.dup2(err_to, err)
    finally:
        for end in (out_from, out_to, err_from, err_to):
            os.close(end)
    return relay


def _log_past_the_relay(channel: int) -> None:
    """Let what logs to stdout now, which is TorchServe, go on to where stdout led."""
    stream = os.fdopen(os.dup(channel), "w", encoding="utf-8", errors="backslashreplace")
    for logger in (logging.getLogger(), logging.getLogger(METRICS)):
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and console_of(handler) == 1:
                handler.setStream(stream)
                if logger is logging.getLogger():
                    handler.addFilter(_OnlyOnce(handler))


class _OnlyOnce(logging.Filter):
    """Passes what no handler of the script's own has written to stdout or stderr already."""

    def __init__(self, own: logging.Handler) -> None:
        super().__init__()
        self._own = own

    def filter(self, record: logging.LogRecord) -> bool:
        """Follow the record's way to the root, as logging itself does."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            for handler in logger.handlers:
                if handler is not self._own and self._shows(handler, record):
                    return False
            logger = logger.parent if logger.propagate else None
        return True

    def _shows(self, handler: logging.Handler, record: logging.LogRecord) -> bool:
        return record.levelno >= handler.level and console_of(handler) > 0
