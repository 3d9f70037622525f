"""The answer of an explanation: what a score is made of, in every form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handlers.runtime.answers import Schema, listed, nested, nullable, number, record, whole, words
from handlers.runtime.arrays import Array
from handlers.runtime.heatmap import overlay, pooled
from handlers.runtime.result import Result

# Sides of the sums in JSON, which stays under 20 kB.
JSON_SIDE = 32
# Of what ``Attribution`` reports; what a target is differs from model to model.
EXPLANATION: Schema = record(
    method=words("as asked for"),
    target={"description": "what was explained"},
    steps=whole(1, text="as asked for"),
    score=number(text="of the input"),
    baseline_score=number(text="of an input that says nothing"),
    completeness_error=nullable(number(0)),
    relative_completeness_error=nullable(number(0)),
    shape=listed(whole(1), least=3, most=3),
    attributions=nested(2, number(), "sums over channels and cells, in units of the score"),
)


@dataclass(frozen=True)
class Attribution:
    """What one input's score is made of.

    Attributes:
        method, steps: as asked for.
        values: float32 (C, H, W), in units of the score: C channels for integrated gradients,
            1 for Grad-CAM and occlusion, which weigh whole pixels. Positive speaks for the score.
        score: of the input.
        baseline_score: of the baseline.
        complete: the method promises that the values sum up to the difference of the scores.
    """

    method: str
    steps: int
    values: Array
    score: float
    baseline_score: float
    complete: bool

    @property
    def completeness_error(self) -> float | None:
        """|sum of values - (score - baseline_score)|, or None where no such sum is promised.

        Completeness: M. Sundararajan et al., "Axiomatic Attribution for Deep Networks",
        ICML 2017, arXiv:1703.01365, proposition 1.
        """
        if not self.complete:
            return None
        return abs(float(self.values.sum(dtype=np.float64)) - self._difference)

    @property
    def _difference(self) -> float:
        return self.score - self.baseline_score

    def result(self, picture: Array, target: Any) -> Result:
        """Return the answer in all its forms.

        Args:
            picture: uint8 (H, W, 3), the input as people see it, of any size and about the
                input's proportions.
            target: what was explained, as a JSON value.
        """
        heat = self.values.sum(axis=0)
        return Result(
            json=self._report(heat, target), image=overlay(picture, heat), array=self.values
        )

    def _report(self, heat: Array, target: Any) -> dict[str, Any]:
        error = self.completeness_error
        relative = error / abs(self._difference) if error is not None and self._difference else None
        cells = pooled(heat, JSON_SIDE)
        return {
            "method": self.method,
            "target": target,
            "steps": self.steps,
            "score": self.score,
            "baseline_score": self.baseline_score,
            "completeness_error": error,
            "relative_completeness_error": relative,
            "shape": list(self.values.shape),
            # Sums over channels and cells: their total is that of the whole array.
            "attributions": [[float(f"{cell:.6g}") for cell in row] for row in cells.tolist()],
        }
