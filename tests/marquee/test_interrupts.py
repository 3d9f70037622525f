"""Signals end work at safe places, and leave what undoes it alone."""

import os
import signal
import threading
import time

import pytest

from marquee.errors import MarqueeError
from marquee.interrupts import Interrupted, check, ignored, kept, noted, pause, raised, waited


def later(number: int, seconds: float = 0.2) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_pause_ends_with_a_signal(number: signal.Signals) -> None:
    start = time.monotonic()
    with raised(), pytest.raises(Interrupted, match=number.name):
        later(number)
        pause(30)
    assert time.monotonic() - start < 5


def test_a_call_that_takes_long_is_not_waited_for() -> None:
    ended = threading.Event()
    with raised(), pytest.raises(Interrupted):
        later(signal.SIGTERM)
        waited(lambda: ended.wait(30))
    ended.set()


def test_a_call_returns_or_raises_what_it_would() -> None:
    def wrong() -> None:
        raise MarqueeError("wrong")

    assert waited(lambda: 7) == 7
    with pytest.raises(MarqueeError, match="wrong"):
        waited(wrong)


def test_a_signal_raises_nothing_by_itself_and_is_forgotten_when_work_is_undone() -> None:
    with raised():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        with ignored():
            os.kill(os.getpid(), signal.SIGTERM)
            pause(0.05)
        check()


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with raised(), ignored():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_only_noted_ends_nothing() -> None:
    with raised():
        os.kill(os.getpid(), signal.SIGTERM)
        with noted() as came:
            assert not came()  # that one was before
            os.kill(os.getpid(), signal.SIGINT)
            pause(0.05)
            assert came()
        check()


def test_what_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised():
            os.kill(os.getpid(), signal.SIGHUP)
            check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_library_that_sets_handlers_of_its_own_leaves_none() -> None:
    with raised():
        with kept():
            signal.signal(signal.SIGTERM, lambda *_: pytest.fail("a library's handler was called"))
        with pytest.raises(Interrupted, match="SIGTERM"):
            later(signal.SIGTERM, 0)
            pause(30)
