"""Ctrl-C and SIGTERM: an error like others while work goes on, nothing while it is undone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from marquee.errors import MarqueeError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(MarqueeError):
    """The command was told to stop."""


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(f"interrupted by {signal.Signals(number).name}")


@contextmanager
def raised() -> Iterator[None]:
    """Raise :class:`Interrupted` for a signal that comes in the block."""
    with _handled_by(_raise):
        yield


@contextmanager
def ignored() -> Iterator[None]:
    """Take no notice of signals in the block: what it does must not be left half done."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], Any] | signal.Handlers,
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only, and Python lets no other change their handlers
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
