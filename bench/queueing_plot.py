"""What was measured of queues, beside the model: a picture and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from bench.plot import OURS, THEIRS, save
from bench.queueing_model import Fit, fitted, seconds
from tests.support import ROOT

PICTURE = ROOT / "docs" / "images" / "queueing.svg"
# All times are milliseconds.
HEAD = """\
| | workers | full rate, 1/s | batch: fixed + each | outside | share | mean | 95 % | model | off |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def draw(record: Mapping[str, Any]) -> None:
    """Write docs/images/queueing.svg."""
    cases: dict[str, dict[str, Any]] = record["cases"]
    columns = (len(cases) + 1) // 2
    figure = Figure(figsize=(4 * columns, 6), layout="constrained")
    axes: Any = figure.subplots(2, columns, squeeze=False)
    for at, (name, found) in enumerate(cases.items()):
        _panel(axes[at % 2][at // 2], name, found, fitted(found))
    axes[0][0].legend(fontsize=8, frameon=False)
    save(figure, PICTURE)


def table(record: Mapping[str, Any]) -> str:
    """Return what was measured beside the model, a row a load."""
    rows = [
        _row(name, found, fitted(found), share)
        for name, found in record["cases"].items()
        for share in found["open"]
    ]
    return HEAD + "".join(rows)


def _panel(axis: Any, name: str, found: Mapping[str, Any], fit: Fit) -> None:
    most = found["capacity"]
    shares = [at / 100 for at in range(2, 98)]
    lined = [1000 * seconds(fit, share * most) for share in shares]
    axis.plot(shares, lined, color=THEIRS, label="model, mean")
    measured = {float(share): one for share, one in found["open"].items()}
    means = [1000 * one["mean"] for one in measured.values()]
    axis.plot([*measured], means, "o", color=OURS, label="measured, mean")
    late = [1000 * one["p95"] for one in measured.values()]
    axis.plot([*measured], late, "_", color=OURS, label="measured, 95 %")
    axis.set_title(
        f"{name[:-2]}, {found['workers']} worker{'s' * (found['workers'] > 1)}", fontsize=10
    )
    axis.set_ylim(0, 1.2 * max(late))
    axis.set_xlabel(f"share of {most:.3g} requests a second", fontsize=9)
    axis.set_ylabel("milliseconds", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _row(name: str, found: Mapping[str, Any], fit: Fit, share: str) -> str:
    one = found["open"][share]
    said, model = 1000 * one["mean"], 1000 * seconds(fit, one["offered"])
    cells = [
        name[:-2],
        str(fit.workers),
        f"{found['capacity']:.3g}",
        f"{1000 * fit.fixed:.1f} + {1000 * fit.each:.2f}",
        f"{1000 * fit.outside:.1f}",
        share,
        f"{said:.1f}",
        f"{1000 * one['p95']:.1f}",
        f"{model:.1f}",
        f"{model / said - 1:+.0%}",
    ]
    return f"| {' | '.join(cells)} |\n"
