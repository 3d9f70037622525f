"""How many threads a network is given, by times that are made up."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from handlers.runtime.threads import choose_threads

# That nobody waits for: how long a test takes is the machine's.
AGES = 3600.0


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({1: 1.0, 2: 1.1}, 1),
        ({1: 1.0, 2: 0.9}, 1),  # a tenth is not worth a core
        ({1: 0.167, 2: 0.14}, 2),  # a gain of 1.4, measured while the server begins
        ({1: 1.0, 2: 0.55}, 2),
        ({1: 1.0, 2: 0.55, 4: 0.53}, 2),
        ({1: 1.0, 2: 0.55, 4: 0.3}, 4),
        ({1: 1.0, 2: 0.99, 4: 0.3}, 1),
        ({1: 1.0, 2: 0.6, 3: 0.5}, 3),  # a half more has to bring an eighth
        ({1: 1.0}, 1),
        ({1: 0.002, 2: 0.001}, 1),  # between requests it would not be
    ],
)
def test_as_many_as_are_a_gain(seconds: dict[int, float], expected: int) -> None:
    chosen = choose_threads(lambda: seconds[torch.get_num_threads()], max(seconds), 0.0, AGES)
    assert chosen == expected
    assert torch.get_num_threads() == expected


def test_the_first_call_with_a_number_of_threads_does_not_count() -> None:
    seen: list[int] = []

    def run() -> float:
        threads = torch.get_num_threads()
        begins = not seen or seen[-1] != threads
        seen.append(threads)
        return 9.0 if begins and threads == 2 else 1.0 / threads

    assert choose_threads(run, 2, 0.0, AGES) == 2


def test_a_disturbed_round_does_not_count() -> None:
    runs = 0

    def run() -> float:
        nonlocal runs
        runs += 1
        return 9.0 if runs <= 2 else 1.0 / torch.get_num_threads()

    assert choose_threads(run, 2, 0.0, AGES) == 2


def test_what_takes_too_long_to_try_gets_all() -> None:
    def never() -> float:
        raise AssertionError("begun, though it would not end in time")

    assert choose_threads(never, 2, took=0.6, seconds=1.0) == 2


def test_it_is_broken_off_where_the_next_would_take_too_long() -> None:
    def run() -> float:
        assert torch.get_num_threads() == 1
        time.sleep(0.02)
        return 1.0

    assert choose_threads(run, 2, took=0.0, seconds=0.03) == 2


def test_a_small_network_is_not_tried_with_more_threads() -> None:
    def run() -> float:
        assert torch.get_num_threads() == 1
        return 0.001

    assert choose_threads(run, 4, took=0.001, seconds=AGES) == 1


def test_the_log_says_what_was_measured(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    choose_threads(lambda: {1: 0.2, 2: 0.15}[torch.get_num_threads()], 2, 0.0, AGES)
    assert "CPU threads: 2 (1: 200.00 ms, 2: 150.00 ms)" in caplog.messages
