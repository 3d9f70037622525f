"""Warnings that several threads put aside."""

import threading
import warnings

import pytest

from handlers.runtime.quiet import quiet


def test_nothing_is_warned_of_inside_and_all_is_after() -> None:
    with quiet():
        warnings.warn("not heard", stacklevel=1)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_whoever_comes_first_may_leave_first() -> None:
    before = [*warnings.filters]
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait(60)
            warnings.warn("not heard either", stacklevel=1)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        assert inside.wait(60)
    leave.set()
    thread.join(60)
    assert [*warnings.filters] == before
