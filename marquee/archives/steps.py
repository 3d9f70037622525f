"""Say what takes long while it does, a line a step, also where nobody looks at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

Say = Callable[[str], None]
# A step that is done sooner is not worth a line.
SECONDS = 3.0


@contextmanager
def announced(text: str, say: Say | None) -> Iterator[None]:
    """Say ``text`` if the block takes longer than a moment."""
    if say is None:
        yield
        return
    timer = Timer(SECONDS, say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
