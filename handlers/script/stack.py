"""Several requests' tensors through ``predict_fn`` in one call, where that changes nothing."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from handlers.runtime.device import map_tensors
from handlers.runtime.lostdevice import is_lost
from handlers.runtime.outcome import Outcome

logger = logging.getLogger(__name__)

# A batch's rows differ from single ones by rounding: kernels add up in another order.
RELATIVE = 1e-4


class Stacker:
    """Predicts stackable inputs in one call, all others one by one.

    Tensors of two dimensions or more with the same dtype, device and shape behind the first
    dimension are put together along the first dimension: the one along which a client, too,
    sends several items. That a model treats it so cannot be known from outside. So the first
    stacked call of each shape is checked against its last input predicted alone; if they
    differ, or the stacked call fails where the single ones succeed, that shape is predicted one
    by one from then on.
    """

    def __init__(self, predict: Callable[[Any], Any], max_rows: int) -> None:
        self._predict = predict
        self._max_rows = max_rows
        # Shape -> whether stacked calls may be trusted; absent: not tried yet.
        self._trusted: dict[Hashable, bool] = {}

    def run(self, inputs: Sequence[Any]) -> list[Outcome]:
        """Return each input's prediction, or what was raised for it."""
        outcomes: dict[int, Outcome] = {}
        for key, indices in self._groups(inputs).items():
            outcomes |= zip(indices, self._tried(key, [inputs[i] for i in indices]), strict=True)
        return [outcomes[index] for index in range(len(inputs))]

    def _groups(self, inputs: Sequence[Any]) -> dict[Hashable, list[int]]:
        """Group the indices of inputs that may go together, at most ``max_rows`` rows each."""
        groups: dict[Hashable, list[int]] = defaultdict(list)
        rows: dict[Hashable, int] = defaultdict(int)
        for index, data in enumerate(inputs):
            key = _signature(data)
            if key is None:
                groups["alone", index].append(index)
                continue
            rows[key] += len(data)
            groups[key, (rows[key] - 1) // self._max_rows].append(index)
        return groups

    def _tried(self, key: Any, inputs: list[Any]) -> list[Outcome]:
        """Run a group; where even comparing its outputs fails, say of memory, one by one."""
        try:
            return self._run_group(key, inputs)
        except Exception as error:
            if is_lost(error):
                raise
            logger.exception("%d inputs are predicted one by one", len(inputs))
        return [self._alone(data) for data in inputs]

    def _run_group(self, key: Any, inputs: list[Any]) -> list[Outcome]:
        signature = key[0]
        if len(inputs) == 1 or self._trusted.get(signature) is False:
            return [self._alone(data) for data in inputs]
        stacked = self._stacked(inputs)
        if self._trusted.get(signature) and stacked is not None:
            return stacked
        last = self._alone(inputs[-1])
        if stacked and last.error is None and _agree(stacked[-1].output, last.output):
            self._trusted[signature] = True
            return stacked
        outcomes = [*(self._alone(data) for data in inputs[:-1]), last]
        if all(outcome.error is None for outcome in outcomes):
            logger.warning("inputs like %s are predicted one by one from now on", signature)
            self._trusted[signature] = False
        return outcomes

    def _alone(self, data: Any) -> Outcome:
        try:
            return Outcome(self._predict(data))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised again for its request
            return Outcome(error=error)

    def _stacked(self, inputs: list[Tensor]) -> list[Outcome] | None:
        """Return the predictions of one call for all, or None where that does not work."""
        sizes = [len(data) for data in inputs]
        try:
            output = self._predict(torch.cat(inputs))
            total = sum(sizes)
            return [Outcome(_rows(output, end - size, size, total)) for size, end in _ends(sizes)]
        except Exception as error:  # say, of a model that takes one item only
            if is_lost(error):
                raise
            reason = " ".join(str(error).split())[:300]
            logger.info("%d inputs cannot be predicted together: %s", len(inputs), reason)
            return None


def _signature(data: Any) -> Hashable | None:
    """Return what inputs must share to go together, or None for those that go alone."""
    if not isinstance(data, Tensor) or data.dim() < 2 or not len(data):
        return None
    return tuple(data.shape[1:]), data.dtype, data.device


def _ends(sizes: list[int]) -> list[tuple[int, int]]:
    return [(size, sum(sizes[: index + 1])) for index, size in enumerate(sizes)]


def _rows(output: Any, start: int, count: int, total: int) -> Any:
    def cut(tensor: Tensor) -> Tensor:
        if tensor.dim() == 0 or len(tensor) != total:
            raise ValueError(f"the output is shaped {tuple(tensor.shape)} for {total} rows")
        return tensor[start : start + count]

    return map_tensors(output, cut)


def _agree(one: Any, other: Any) -> bool:
    """Tell whether two predictions are the same but for rounding."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return _close(one, other)
    if type(one) is not type(other) or len(one) != len(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_agree(one[key], other[key]) for key in one)
    return all(_agree(a, b) for a, b in zip(one, other, strict=True))


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    # Relative to the largest number: small ones are sums that nearly cancel out.
    finite = other[other.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=RELATIVE, atol=RELATIVE * scale, equal_nan=True)
