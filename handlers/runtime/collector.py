"""Python's collector, kept away from what a worker has loaded.

It goes through everything that lives, again and again while a long list is read: of the modules of
torch alone there is so much that a list of a megabyte takes four times as long (``bench.worst``).
"""

from __future__ import annotations

import gc


def spare_loaded() -> None:
    """Leave all that there is now out of every collection to come."""
    gc.collect()
    gc.freeze()
