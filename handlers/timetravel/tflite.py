"""Run a small TensorFlow Lite network with PyTorch.

It knows the operators that MediaPipe's face networks consist of, in float32. Source: TensorFlow
Lite's schema (``schema.fbs``), whose numbers of fields and operators stand here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from handlers.runtime.weights import WeightsError
from handlers.timetravel.flatbuffer import Table

# Types of stored numbers: float32, float16 (read as float32), int32.
TYPES = {0: "<f4", 1: "<f2", 2: "<i4"}
RELU, RELU6 = 1, 3
VALID = 1

Operator = Callable[[Table, list[Tensor]], Tensor]


class Network:
    """A network of one input; numbers are laid out (N, H, W, C) outside, as in its file."""

    def __init__(self, path: Path) -> None:
        """Read a ``.tflite`` file.

        Raises:
            WeightsError: it is damaged, or has an operator that is not known here.
        """
        try:
            self._read(Table.root(path.read_bytes()))
        except (struct.error, ValueError, IndexError, KeyError) as error:
            raise WeightsError(
                f"{path}: no TensorFlow Lite network that can be read here "
                f"({type(error).__name__}: {error}); expected one of MediaPipe's face networks"
            ) from error

    def _read(self, model: Table) -> None:
        codes = [max(c.number(0, "b"), c.number(3, "i")) for c in model.tables(1)]
        buffers, graph = model.tables(4), model.tables(2)[0]
        (self._input,) = graph.array(1, "<i4").tolist()
        self._outputs: list[int] = graph.array(2, "<i4").tolist()
        tensors = graph.tables(0)
        self.side = int(tensors[self._input].array(0, "<i4")[1])
        self._stored = {i: _stored(tensor, buffers) for i, tensor in enumerate(tensors)}
        self._steps: list[tuple[Operator, Table, list[int], int]] = []
        for step in graph.tables(3):
            operator = OPERATORS[codes[step.number(0, "I")]]
            (target,) = step.array(2, "<i4").tolist()
            options = step.table(4) or step
            self._steps.append((operator, options, step.array(1, "<i4").tolist(), target))

    def __call__(self, pixels: Tensor) -> list[Tensor]:
        """Return the outputs for ``pixels`` (1, side, side, 3) float32."""
        known = {i: tensor for i, tensor in self._stored.items() if tensor is not None}
        known[self._input] = pixels
        with torch.inference_mode():
            for operator, options, inputs, target in self._steps:
                known[target] = operator(options, [known[i] for i in inputs if i >= 0])
        return [known[i] for i in self._outputs]


def _stored(tensor: Table, buffers: list[Table]) -> Tensor | None:
    """Return the numbers of a weight, None for what is computed."""
    numbers = buffers[tensor.number(2, "I")].array(0, "<u1")
    if not len(numbers):
        return None
    values = torch.from_numpy(numbers.view(TYPES[tensor.number(1, "b")]).copy())
    values = values.float() if values.is_floating_point() else values
    return values.reshape(tensor.array(0, "<i4").tolist())


def _planes(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _pixels(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _activated(x: Tensor, code: int) -> Tensor:
    if code not in (0, RELU, RELU6):
        raise ValueError(f"activation {code}")
    return functional.relu6(x) if code == RELU6 else functional.relu(x) if code == RELU else x


def _padded(x: Tensor, options: Table, kernel: tuple[int, int], value: float = 0) -> Tensor:
    """Pad (N, C, H, W) as SAME does: what is odd goes to the right and to the bottom."""
    if options.number(0, "b") == VALID:
        return x
    strides = options.number(2, "i"), options.number(1, "i")
    sizes = zip(x.shape[2:], kernel, strides, strict=True)
    rows, columns = (max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in sizes)
    edges = [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2]
    return functional.pad(x, edges, value=value)


def _convolved(options: Table, given: list[Tensor], weight: Tensor, groups: int) -> Tensor:
    """Convolve with ``weight`` (out, in, h, w), dilation 1."""
    x = _padded(_planes(given[0]), options, (weight.shape[2], weight.shape[3]))
    stride = options.number(2, "i"), options.number(1, "i")
    return _pixels(functional.conv2d(x, weight, given[2], stride, groups=groups))


def _conv(options: Table, given: list[Tensor]) -> Tensor:
    made = _convolved(options, given, given[1].permute(0, 3, 1, 2), 1)
    return _activated(made, options.number(3, "b"))


def _depthwise(options: Table, given: list[Tensor]) -> Tensor:
    made = _convolved(options, given, given[1].permute(3, 0, 1, 2), given[0].shape[3])
    return _activated(made, options.number(4, "b"))


def _max_pool(options: Table, given: list[Tensor]) -> Tensor:
    kernel = options.number(4, "i"), options.number(3, "i")
    x = _padded(_planes(given[0]), options, kernel, float("-inf"))
    stride = options.number(2, "i"), options.number(1, "i")
    return _activated(_pixels(functional.max_pool2d(x, kernel, stride)), options.number(5, "b"))


def _resize(options: Table, given: list[Tensor]) -> Tensor:
    size = given[1].tolist()
    if options.number(2, "b") or not options.number(3, "b"):
        raise ValueError("another kind of bilinear enlargement")
    return _pixels(functional.interpolate(_planes(given[0]), size, mode="bilinear"))


def _pad(_options: Table, given: list[Tensor]) -> Tensor:
    edges = [edge for pair in reversed(given[1].tolist()) for edge in pair]
    return functional.pad(given[0], edges)


def _prelu(_options: Table, given: list[Tensor]) -> Tensor:
    return torch.where(given[0] > 0, given[0], given[0] * given[1])


def _add(options: Table, given: list[Tensor]) -> Tensor:
    return _activated(given[0] + given[1], options.number(0, "b"))


def _concatenate(options: Table, given: list[Tensor]) -> Tensor:
    return torch.cat(given, options.number(0, "i"))


def _reshape(options: Table, given: list[Tensor]) -> Tensor:
    return given[0].reshape(options.array(0, "<i4").tolist())


OPERATORS: dict[int, Operator] = {
    0: _add,
    2: _concatenate,
    3: _conv,
    4: _depthwise,
    6: lambda _options, given: given[0],  # dequantize: float16 is read as float32
    17: _max_pool,
    19: lambda _options, given: functional.relu(given[0]),
    22: _reshape,
    23: _resize,
    34: _pad,
    54: _prelu,
}
