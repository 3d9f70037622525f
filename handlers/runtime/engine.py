"""Runs batches through the network so that one bad item never hurts its batch-mates."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from handlers.runtime.device import Placement, map_tensors, to_host
from handlers.runtime.endings import device_lost
from handlers.runtime.errors import InsufficientMemory, InternalError, RequestError
from handlers.runtime.finite import check_finite
from handlers.runtime.lostdevice import is_lost_on
from handlers.runtime.memory import is_out_of_memory, is_outside_allocator
from handlers.runtime.outcome import Outcome

logger = logging.getLogger(__name__)

# Tensors, in whatever the model puts them.
Output = Any


class Engine:
    """Calls ``forward`` with batches of items of one shape, at most ``max_batch`` at a time.

    Out of memory halves the batch and tries again. Any other failure of a batch tries its
    items one by one. An error that poisons the device's context ends all work: ``poisoned``
    is then true and the worker must be replaced. In half precision, an output that is not
    finite is an error of its item.
    """

    def __init__(
        self, forward: Callable[[Tensor], Output], placement: Placement, max_batch: int
    ) -> None:
        self._forward = forward
        self._placement = placement
        self._max_batch = max(1, max_batch)
        self.poisoned = False

    def run(self, requests: list[Tensor]) -> list[Outcome]:
        """Run each request's tensor (C, H, W), or (N, C, H, W) for several items.

        Returns:
            For each request its output on the CPU, without the batch dimension for a single
            item and with it for several, or the error that befell it.
        """
        items = [list(tensor.unbind()) if tensor.dim() == 4 else [tensor] for tensor in requests]
        outcomes = iter(self._run_items([item for of_one in items for item in of_one]))
        return [
            _joined([next(outcomes) for _ in of_one], several=tensor.dim() == 4)
            for of_one, tensor in zip(items, requests, strict=True)
        ]

    def _run_items(self, items: list[Tensor]) -> list[Outcome]:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            groups[(item.shape, item.dtype)].append(index)
        outcomes: dict[int, Outcome] = {}
        for indices in groups.values():
            for start in range(0, len(indices), self._max_batch):
                chunk = indices[start : start + self._max_batch]
                outcomes |= zip(chunk, self._run_chunk([items[i] for i in chunk]), strict=True)
        return [outcomes[index] for index in range(len(items))]

    def _run_chunk(self, items: list[Tensor]) -> list[Outcome]:
        if self.poisoned:
            return [Outcome(error=device_lost()) for _ in items]
        outcomes = self._try(items)
        if not isinstance(outcomes, Exception):
            return outcomes
        # Tried again here, outside of the handler of the exception, whose traceback would
        # keep the failed attempt's tensors alive.
        error = outcomes
        if is_lost_on(self._placement.device, error):
            self.poisoned = True
            return [Outcome(error=device_lost(error)) for _ in items]
        if len(items) == 1:
            return [self._try_alone(items[0], error)]
        parts = 2 if is_out_of_memory(error) else len(items)
        size = -(-len(items) // parts)
        return [
            outcome
            for start in range(0, len(items), size)
            for outcome in self._run_chunk(items[start : start + size])
        ]

    def _try_alone(self, item: Tensor, error: Exception) -> Outcome:
        """Settle an item that failed alone: once more, where memory was short that is free now."""
        if self._placement.device.type != "cuda" or not is_outside_allocator(error):
            return Outcome(error=_final(error))
        outcomes = self._try([item])
        if not isinstance(outcomes, Exception):
            return outcomes[0]
        if is_lost_on(self._placement.device, outcomes):
            self.poisoned = True
            return Outcome(error=device_lost(outcomes))
        return Outcome(error=_final(outcomes))

    def _try(self, items: list[Tensor]) -> list[Outcome] | Exception:
        try:
            with torch.inference_mode():
                output = self._forward(self._placement.batch(items))
                check_finite(output, self._placement.dtype)
                output = to_host(output)
            return [Outcome(_pick(output, index)) for index in range(len(items))]
        except RequestError as error:
            return error.with_traceback(None)
        except Exception as error:  # the network is user code: it may raise anything
            logger.warning("a batch of %d failed: %s", len(items), _one_line(error))
            if len(items) == 1 and not is_out_of_memory(error):
                logger.exception("the network failed on one item")
            return error.with_traceback(None)


def _pick(output: Output, index: int) -> Output:
    """Return one item's part of a batch's output."""
    return map_tensors(output, lambda tensor: tensor[index])


def _final(error: Exception) -> RequestError:
    """Turn the failure of a single item into its answer."""
    if isinstance(error, RequestError):
        return error
    if is_out_of_memory(error):
        return InsufficientMemory("this input alone does not fit in memory; send a smaller one")
    return InternalError(
        "the model failed on this input; the server's log has the details", cause=error
    )


def _joined(outcomes: list[Outcome], *, several: bool) -> Outcome:
    """Put the outputs of one request's items together, or return the first error among them."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed or not several:
        return (failed or outcomes)[0]
    try:
        if len(outcomes) == 1:
            return Outcome(map_tensors(outcomes[0].output, lambda tensor: tensor[None]))
        return Outcome(_stack([outcome.output for outcome in outcomes]))
    except Exception as error:  # as much memory again; and outputs that do not fit together
        logger.exception("the %d outputs of one request cannot be put together", len(outcomes))
        return Outcome(error=_final(error))


def _stack(outputs: list[Output]) -> Output:
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.stack(outputs)
    if isinstance(first, dict):
        return {key: _stack([output[key] for output in outputs]) for key in first}
    return type(first)(_stack(list(parts)) for parts in zip(*outputs, strict=True))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
