"""What is fuzzed: files and requests that are right, ways to break them, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from bench.fuzz_edits import BYTES, Edit

# One thing is broken, now and then a second one behind it.
MORE_EDITS = 0.15


@dataclass(frozen=True)
class Kind:
    """A form of input.

    Attributes:
        name: such as ``png``.
        make_seeds: makes inputs that are right, small ones.
        edits: each breaks one thing.
        read: reads an input as the product does.
        refusals: what it may raise, and nothing else.
    """

    name: str
    make_seeds: Callable[[], Sequence[bytes]]
    edits: Sequence[Edit]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]

    @cached_property
    def seeds(self) -> Sequence[bytes]:
        """The inputs that are right, made once."""
        return self.make_seeds()

    def case(self, seed: int, index: int) -> bytes:
        """Return the broken input of that number; the same for the same ``seed``."""
        random = Random(f"{seed}/{self.name}/{index}")  # noqa: S311 - no secret
        data = random.choice(self.edits)(random.choice(self.seeds), random)
        # Of a form that is no more itself, only bytes can be changed.
        while data and random.random() < MORE_EDITS:
            data = random.choice(BYTES)(data, random)
        return data
