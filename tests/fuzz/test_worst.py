"""What the worst bodies of 1 MB cost, as a product of their bytes and pixels: see `bench.worst`."""

from __future__ import annotations

import pytest

from bench.worst import FORMS, Usual, measured, usual

# Of what is usual for as many pixels and bytes, measured beside it in this process: the most that
# was seen is 23.
MOST_TIMES = 80


@pytest.fixture(scope="module")
def beside() -> Usual:
    """What is usual on this machine, now."""
    return usual()


@pytest.mark.parametrize("name", FORMS)
def test_the_worst_of_a_form_is_bounded_by_its_bytes_and_pixels(name: str, beside: Usual) -> None:
    form = FORMS[name]
    body = form.make()
    assert len(body) < 1_100_000
    cost = measured(form.read, body)
    assert cost.grown <= form.most_bytes(body)
    assert beside.share(form, body, cost) < MOST_TIMES


def test_a_form_that_costs_more_than_its_size_would_be_seen(beside: Usual) -> None:
    form = FORMS["JSON: deep"]

    def greedy(body: bytes) -> None:
        assert b"\1" * (form.most_bytes(body) + (32 << 20))

    cost = measured(greedy, form.make())
    assert cost.grown > form.most_bytes(form.make())
