"""Predictions and explanations of many files, from a running server.

In reading order: ``predict`` (several in flight), ``modelclient`` (one of them), ``request`` (what
is sent), ``outputs`` (where the answers go).

``Client`` and ``AsyncClient``, for programs that ask any server, are those of the small package in
``clients/python``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marquee_client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'marquee.client' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module("marquee_client"), name)
    except ImportError as error:
        raise ImportError(
            f"marquee.client.{name} is of the package marquee-client ({error}); install it from "
            "a clone: pip install ./clients/python"
        ) from error
