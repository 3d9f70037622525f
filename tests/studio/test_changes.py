"""Changes go on whoever looks, and end with a sentence."""

from __future__ import annotations

import threading

import pytest

from marquee.errors import MarqueeError
from marquee.studio.changes import Change, Changes
from marquee.versions.history import Step, StepListener

SECONDS = 30


def step(name: str) -> Step:
    return {"step": name, "at": 0.0, "seconds": 0.1, "said": "well"}


def ended(change: Change) -> Change:
    for _ in change.follow():
        pass
    return change


def test_steps_are_told_as_they_pass_and_what_came_of_it() -> None:
    go_on = threading.Event()

    def work(listener: StepListener) -> str:
        listener(step("load"))
        assert go_on.wait(SECONDS)
        return "it serves"

    changes = Changes()
    change = changes.begin("swap cifar to 1.0", work)
    assert changes.last() is change
    following = change.follow()
    while not change.steps:
        next(following)
    assert (change.over, change.said) == (False, "")
    go_on.set()
    assert [one["step"] for one in ended(change).steps] == ["load"]
    assert (change.said, change.failed) == ("it serves", False)
    assert change.took == change.seconds


def test_a_refusal_is_its_sentence() -> None:
    def work(_listener: StepListener) -> str:
        raise MarqueeError("no such version")

    change = ended(Changes().begin("swap", work))
    assert (change.said, change.failed) == ("no such version", True)


def test_a_fault_of_ours_is_no_trace_on_the_page(caplog: pytest.LogCaptureFixture) -> None:
    def work(_listener: StepListener) -> str:
        raise ZeroDivisionError("secret")

    change = ended(Changes().begin("swap", work))
    assert "ZeroDivisionError" in change.said
    assert "secret" not in change.said
    assert "secret" in caplog.text


def test_the_end_is_told_however_quickly_it_comes() -> None:
    change = Change("swap")
    following = change.follow()
    next(following)
    change.run(lambda _listener: "done")
    assert [change.said for _ in following] == ["done"]
