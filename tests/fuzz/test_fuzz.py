"""A few broken inputs of every kind; `python -m bench.fuzz` reads as many as anybody wants."""

from __future__ import annotations

import pytest

from bench.fuzz import KINDS, tried

INPUTS = 200
# Of those that take longer: a network is built for each, or a process is started.
FEWER = {"cfg": 100, "weights": 100, "keras": 4, "checkpoint": 25, "mar": 80, "config": 60}
SEED = 20
# Of the processor: a thousand times what the slowest takes, on any machine. The bench holds 1 s.
MAX_SECONDS = 30.0


@pytest.mark.parametrize("name", KINDS)
def test_a_broken_input_is_refused_in_its_own_words(name: str) -> None:
    score = tried(KINDS[name], SEED, range(FEWER.get(name, INPUTS)), max_seconds=MAX_SECONDS)
    assert score.findings == []
    # Else nothing behind the first sign of each file would have been tried.
    assert 0 < score.read < score.inputs
