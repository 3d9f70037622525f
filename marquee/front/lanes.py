"""How many bodies of which size TorchServe gets at once, so that Java's heap holds them all.

TorchServe takes what comes: twenty uploads of 100 MB fill a heap of 2 GB, and Java ends. The door
lets a body wait in its client until there is room. Small bodies do not wait for large ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

MB = 1 << 20
# Bodies up to this do not wait: 4096 connections have 256 MB of them at the most, twice in Java.
LIGHT = 64 << 10
# By size in bytes: the part of the heap that bodies up to there may take together. Java holds each
# about twice (as it arrives, and whole), so that these are 0.8 of it.
SHARES = ((MB, 0.1), (8 * MB, 0.1), (32 * MB, 0.1), (None, 0.1))
# What Java takes where it is not told: a quarter of the memory; we count on no more than this.
USUAL_HEAP = 2048 * MB
UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
SIZES = re.compile(r"-(?:Xmx|XX:MaxHeapSize=|XX:MaxDirectMemorySize=)(\d+)([kKmMgGtT]?)(?!\S)")


@dataclass(frozen=True)
class Lane:
    """Bodies of about one size.

    Attributes:
        name: in HAProxy's configuration.
        largest: bytes of a body.
        at_once: how many TorchServe may have in hand.
    """

    name: str
    largest: int
    at_once: int


def lanes(heap: int, max_request_size: int) -> list[Lane]:
    """Return the lanes for bodies of more than ``LIGHT``, by size; one of the last always passes.

    Args:
        heap: bytes that Java may take, as of :func:`heap_of`.
        max_request_size: bytes of the largest body.
    """
    found = []
    for bound, share in SHARES:
        largest = max_request_size if bound is None else min(bound, max_request_size)
        name = f"to_{largest}"
        found.append(Lane(name, largest, max(1, int(heap * share) // largest)))
        if largest == max_request_size:
            break
    return found


def heap_of(properties: Mapping[str, str]) -> int:
    """Return the bytes that Java's options (vmargs) leave to bodies, in its heap or beside it."""
    told = SIZES.findall(properties.get("vmargs", ""))
    if not told:
        return min(USUAL_HEAP, psutil.virtual_memory().total // 4)
    return min(int(number) << UNITS[unit.lower()] for number, unit in told)
