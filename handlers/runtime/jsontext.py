"""JSON text in and out: by orjson where it is installed, else by the standard library.

On long lists of numbers, such as a satellite scene's, orjson is several times as fast.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np


@cache
def fast() -> ModuleType | None:
    """Return orjson, or None where it is not installed."""
    try:
        return import_module("orjson")
    except ImportError:
        return None


def loads(text: bytes | bytearray, refuse: Callable[[str], Any]) -> Any:
    """Parse JSON in UTF-8; ``refuse`` is called with the name of a NaN or an infinity.

    A byte order mark is passed over, as RFC 8259 (8.1) allows. The standard library would guess
    UTF-16 and UTF-32 as well, which that text rules out.

    What orjson refuses is read again by the standard library, so that errors are the same with
    and without it.

    Raises:
        ValueError, RecursionError: the text is no JSON, or nested too deeply.
    """
    if text.startswith(BOM_UTF8):
        text = text[len(BOM_UTF8) :]
    orjson = fast()
    if orjson is None:
        return json.loads(text.decode(), parse_constant=refuse)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode(), parse_constant=refuse)


def dumps(value: Any) -> bytes:
    """Print JSON without spaces; numpy arrays as nested lists.

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
        TypeError: something that is neither JSON nor an array.
    """
    orjson = fast()
    text = None if orjson is None else _fast_dumps(orjson, value)
    if text is not None:
        return text
    separators = (",", ":")
    return json.dumps(value, separators=separators, allow_nan=False, default=_listed).encode()


def _fast_dumps(orjson: ModuleType, value: Any) -> bytes | None:
    """Return orjson's text, or None where the standard library must decide."""
    try:
        text: bytes = orjson.dumps(value, _listed, orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # such as keys that are no text, integers over 64 bits
        return None
    # orjson prints NaN as null; a null may also be one.
    return None if b"null" in text else text


def _listed(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")
