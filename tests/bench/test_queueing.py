"""The queueing model: known values, limits, and that docs/scale.md prints what it says."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bench import queueing_cost
from bench.queueing import RESULTS, poisson
from bench.queueing_model import Fit, erlang_c, fitted, seconds, servers_needed
from bench.queueing_plot import table
from tests.support import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text()


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


@pytest.mark.parametrize(("workers", "load", "share"), [(1, 0.7, 0.7), (2, 1.0, 1 / 3)])
def test_erlangs_formula(workers: int, load: float, share: float) -> None:
    assert erlang_c(workers, load) == pytest.approx(share)


def test_equal_service_times_wait_half_as_long_as_exponential_ones() -> None:
    equal, varied = Fit(1, 1, 0.0, 1.0), Fit(1, 1, 0.0, 1.0, spread=1.0)
    assert seconds(equal, 0.8) == pytest.approx(1 + 0.8 / (1 - 0.8) / 2)
    assert seconds(varied, 0.8) == pytest.approx(1 + 0.8 / (1 - 0.8))


@pytest.mark.parametrize("batch", [1, 32])
def test_from_an_idle_server_to_a_full_one(batch: int) -> None:
    fit = Fit(2, batch, 0.01, 0.001, outside=0.002)
    assert seconds(fit, 0.0) == pytest.approx(0.013)
    waits = [seconds(fit, share * fit.capacity) for share in (0.1, 0.5, 0.9, 0.99)]
    assert waits == sorted(waits)
    assert seconds(fit, fit.capacity) == math.inf


def test_a_fit_finds_what_batches_were_made_of() -> None:
    closed = {str(n): {"mean": 0.002 + 0.004 + 0.001 * n} for n in (1, 2, 4, 8, 16, 32)}
    full = 32 / (0.004 + 0.032)
    fit = fitted({"workers": 1, "batch": 32, "capacity": full, "closed": closed})
    assert (fit.fixed, fit.each, fit.outside) == pytest.approx((0.004, 0.001, 0.002))


def test_servers_for_a_load() -> None:
    fit = Fit(1, 1, 0.0, 0.1)
    assert servers_needed(fit, 1.0, 0.2) == 1
    assert servers_needed(fit, 100.0, 0.3) == 13
    with pytest.raises(ValueError, match=r"a lone request takes 0\.100 s, expected below 0\.05"):
        servers_needed(fit, 1.0, 0.05)


def test_arrivals_come_at_the_rate_and_the_same_each_time() -> None:
    moments = [*poisson(100.0, 50.0)]
    assert moments == [*poisson(100.0, 50.0)]
    assert moments[-1] == pytest.approx(50.0, rel=0.1)


@pytest.mark.parametrize("made", [table, queueing_cost.table])
def test_the_page_has_the_tables_of_the_record(made: Any) -> None:
    assert made(record()) in PAGE
