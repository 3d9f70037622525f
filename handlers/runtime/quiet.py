"""Warnings put aside in several threads at once, which ``warnings.catch_warnings`` cannot."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_inside: list[ExitStack] = []  # of the first thread that came in; the last to leave closes it
_threads = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings in the ``with`` block, and wherever else while any thread is in one."""
    global _threads  # noqa: PLW0603 - the filters are the process's as well
    with _lock:
        if not _threads:
            _inside.append(ExitStack())
            _inside[0].enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _threads += 1
    try:
        yield
    finally:
        with _lock:
            _threads -= 1
            if not _threads:
                _inside.pop().close()
