"""Ctrl-C, SIGTERM, SIGHUP: work ends at the next safe place, and what is undone is not disturbed.

A signal only leaves a note, which loops and waits look at. An exception out of a signal handler
could come while a library holds a lock of its own, and the way back would wait for it for ever.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP_SECONDS = 0.1

Result = TypeVar("Result")
_came: list[int] = []


class Interrupted(KeyboardInterrupt):
    """The command was told to stop; no error, so that nothing which heeds errors goes on."""


def check() -> None:
    """Raise :class:`Interrupted` if a signal came; in the main thread only."""
    if _came and threading.current_thread() is threading.main_thread():
        raise Interrupted(f"interrupted by {signal.Signals(_came[0]).name}")


def pause(seconds: float) -> None:
    """Sleep, but no longer than until a signal comes."""
    deadline = time.monotonic() + seconds
    check()
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(STEP_SECONDS, left))
        check()


def until(condition: Callable[[], Result], seconds: float, poll: float = STEP_SECONDS) -> Result:
    """Wait until a condition holds; return what it said last, which is false if it never did.

    Args:
        condition: asked at once, and once more when the time is over.
        seconds: how long to wait for it.
        poll: seconds between two questions.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()) and (left := deadline - time.monotonic()) > 0:
        pause(min(poll, left))
    return result


def waited(call: Callable[[], Result]) -> Result:
    """Return what a call returns or raises, but wait no longer than until a signal comes.

    The call then goes on in a thread of its own, and nobody hears of it.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    check()
    # No SimpleQueue: a signal just before its timeout makes CPython 3.11 wait for ever.
    while not wait([outcome], STEP_SECONDS).done:
        check()
    return outcome.result()


@contextmanager
def raised() -> Iterator[None]:
    """Let signals be noted in the block, for :func:`check`."""
    with _handled_by(lambda number, _frame: _came.append(number)):
        yield


@contextmanager
def ignored() -> Iterator[None]:
    """Take no notice of signals in the block: what it does must not be left half done."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Lend the question whether a signal came in the block, where none ends anything."""
    came: list[int] = []
    with _handled_by(lambda number, _frame: came.append(number)):
        yield lambda: bool(came)


@contextmanager
def kept() -> Iterator[None]:
    """Give signals their handlers back behind a block whose library sets handlers of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], Any] | signal.Handlers,
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only, and Python lets no other change their handlers
        return
    # What nohup has it ignore stays ignored.
    heeded = (one for one in SIGNALS if one != signal.SIGHUP or not _is_ignored(one))
    before = {number: signal.signal(number, handler) for number in heeded}
    _came.clear()
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        _came.clear()


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN
