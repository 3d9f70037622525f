"""How far two answers are apart, as a number."""

from __future__ import annotations

import math

from marquee.archives.comparison import difference, spread

# The finest that is told apart, and how often the range above it is halved.
FINEST = 1e-6
HALVINGS = 16
# Between answers in fp32: other threads and batches move the last digits. In shorter formats they
# move more, and another network still much more.
SAME = {"fp32": 0.01}
SAME_SHORT = 0.05


def deviation(content_type: str, expected: bytes, actual: bytes) -> float:
    """Return the least tolerance with which two answers are alike.

    A share of the range of an array's values, of the 255 levels of a picture, or of the numbers in
    JSON, all but one in a hundred: as golden requests are judged. 0 for equal ones; infinite where
    they differ in more than numbers, such as in a label or in how many things were found.
    """
    scale = spread(content_type, expected)

    def alike(share: float) -> bool:
        return difference(content_type, expected, actual, share * scale) is None

    if alike(0.0):
        return 0.0
    if not alike(1.0):
        return math.inf
    low, high = math.log(FINEST), 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if alike(math.exp(middle)) else (middle, high)
    return math.exp(high)


def rounding(precision: str) -> float:
    """Return how far two answers of one network in one number format may be apart."""
    return SAME.get(precision, SAME_SHORT)
