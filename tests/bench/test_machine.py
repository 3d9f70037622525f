"""The share of the machine that others take."""

import pytest

from bench import machine
from bench.machine import Usage, others_share


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)


def test_what_is_neither_ours_nor_the_server_s_is_others() -> None:
    before, after = Usage(machine=100.0, own=10.0), Usage(machine=103.0, own=10.5)
    assert others_share(before, after, ours=2.0, seconds=2.0) == pytest.approx(0.125)


def test_a_clock_s_tick_too_much_is_nothing() -> None:
    same = Usage(machine=100.0, own=10.0)
    assert others_share(same, same, ours=0.01, seconds=2.0) == 0.0
