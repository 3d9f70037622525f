"""The graph of a network while it is built from its ``.cfg``: layers, shapes, references."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import nn

from handlers.rotifer.cfg import Section
from handlers.rotifer.layers import Identity


class Shape(NamedTuple):
    """Of a layer's output, without the batch."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} x {self.channels}"


@dataclass(frozen=True)
class Node:
    """One layer in the graph.

    Attributes:
        layer: what computes it.
        sources: indices of the layers whose outputs it takes; -1 is the picture.
        shape: of its output.
        step: pixels of the network's input from one cell to the next, in x and y.
    """

    layer: nn.Module
    sources: tuple[int, ...]
    shape: Shape
    step: tuple[int, int]


@dataclass
class LayerPlan:
    """The layers so far, and the input they start from."""

    input: Shape
    nodes: list[Node] = field(default_factory=list)

    @property
    def last(self) -> int:
        """Index of the last layer, -1 for the picture."""
        return len(self.nodes) - 1

    def at(self, index: int) -> Node:
        """Return a layer's node, or one that stands for the picture."""
        return Node(Identity(), (), self.input, (1, 1)) if index < 0 else self.nodes[index]

    def indices(self, section: Section, key: str) -> list[int]:
        """Read references to earlier layers; negative ones count back from this layer."""
        given = section.integers(key)
        if given is None:
            raise section.error(f"{key} is missing, expected the indices of earlier layers")
        found = [index if index >= 0 else len(self.nodes) + index for index in given]
        for raw, index in zip(given, found, strict=True):
            if not 0 <= index < len(self.nodes):
                raise section.error(
                    f"{key} names layer {raw}, but layers 0 to {self.last} come before it", key
                )
        return found
