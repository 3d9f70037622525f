"""When a version counts as ready: new workers, slow examples, hangs and traffic of others."""

import threading
import time

from marquee.torchserve.management import Version
from marquee.torchserve.readiness import Timing, VersionHealth

QUICK = Timing(interval=0.2, patience=0.2)


def version(*pids: int, wanted: int = 1, status: str = "READY") -> Version:
    workers = tuple({"id": str(pid), "pid": pid, "status": status} for pid in pids)
    return Version("m", "1.0", wanted, 1, 1, 120, 0, 100, "m-1.0.mar", workers)


def settle(health: VersionHealth, found: Version, last_success: float | None = None) -> str | None:
    """Look until no question is out."""
    health.look(found, last_success)
    deadline = time.monotonic() + 5
    while health.awaits_answer and time.monotonic() < deadline:
        time.sleep(0.01)
    return health.look(found, last_success)


class Model:
    """Counts its questions, and answers as told."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> str | None:
        self.asked += 1
        self.gate.wait(10)
        return self.problem


def test_workers_that_load_are_not_ready() -> None:
    model = Model()
    found = VersionHealth(model, QUICK).look(version(1, wanted=2), None)
    assert found == "1 of 2 workers are ready"
    assert model.asked == 0


def test_ready_after_the_first_answer_only() -> None:
    model = Model()
    model.gate.clear()
    health = VersionHealth(model, QUICK)
    assert health.look(version(1), None) == "has not answered its own example yet"
    model.gate.set()
    assert settle(health, version(1)) is None


def test_a_wrong_answer_is_told() -> None:
    assert (
        settle(VersionHealth(Model("answered with 500"), QUICK), version(1)) == "answered with 500"
    )


def test_an_archive_without_an_example_has_its_workers_only() -> None:
    assert VersionHealth(None, QUICK).look(version(1), None) is None


def test_it_is_not_asked_again_before_it_is_time() -> None:
    model = Model()
    health = VersionHealth(model, Timing(interval=60))
    for _ in range(5):
        assert settle(health, version(1)) is None
    assert model.asked == 1


def test_it_is_asked_again_in_time() -> None:
    model = Model()
    health = VersionHealth(model, Timing(interval=60, patience=60))
    settle(health, version(1))
    settle(health, version(1))
    assert model.asked == 1
    health._next = time.monotonic()
    model.problem = "answered with 503"
    assert settle(health, version(1)) == "answered with 503"
    assert model.asked == 2


def test_an_error_that_nobody_expected_does_not_end_the_questions() -> None:
    errors = [KeyError("key"), None]

    def ask() -> str | None:
        error = errors.pop(0)
        if error is not None:
            raise error
        return None

    health = VersionHealth(ask, QUICK)
    assert settle(health, version(1)) == "could not be asked (KeyError: 'key')"
    assert not health.awaits_answer
    health._next = time.monotonic()
    assert settle(health, version(1)) is None


def test_other_workers_are_asked_at_once() -> None:
    model = Model()
    health = VersionHealth(model, Timing(interval=60))
    settle(health, version(1))
    model.problem = "answered with 500"
    assert settle(health, version(2)) == "answered with 500"


def test_the_answer_of_workers_that_are_gone_does_not_count() -> None:
    model = Model()
    model.gate.clear()
    health = VersionHealth(model, Timing(interval=60))
    health.look(version(1), None)
    assert health.look(version(1, status="UNLOADED"), None) == "0 of 1 workers are ready"
    model.gate.set()
    time.sleep(0.1)
    assert health.look(version(1, status="UNLOADED"), None) == "0 of 1 workers are ready"


def test_a_hang_is_told_and_recovered_from() -> None:
    model = Model()
    health = VersionHealth(model, QUICK)
    assert settle(health, version(1)) is None
    time.sleep(0.25)
    model.gate.clear()
    health.look(version(1), None)
    time.sleep(0.3)
    told = health.look(version(1), None)
    assert told is not None
    assert told.startswith("has not answered its own example for")
    model.gate.set()
    assert settle(health, version(1)) is None


def test_others_who_are_answered_prove_as_much() -> None:
    model = Model()
    health = VersionHealth(model, QUICK)
    settle(health, version(1))
    for _ in range(3):
        time.sleep(0.15)
        assert health.look(version(1), time.monotonic()) is None
    assert model.asked == 1


def test_others_do_not_replace_the_first_example() -> None:
    model = Model("answered with 500")
    health = VersionHealth(model, QUICK)
    assert settle(health, version(1), time.monotonic()) == "answered with 500"
