"""An archive's model-config.yaml, read with care: it may come from anywhere.

TorchServe does not start at all, for any model, where one of these is empty, a list or plain text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from marquee.archives.manifest import one_line, path_text, short_repr
from marquee.errors import MarqueeError

# The parser takes about a second for 100 kB, and with brackets as many times that as they are deep.
MAX_BYTES = 64 << 10
MAX_DEPTH = 32
# Each alias may double what a merge (`<<`) puts together.
MAX_ALIASES = 16
# What PyYAML raises: ValueError of bytes that are no text, of dates and of numbers that are none.
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError)


def load(text: bytes, path: Path) -> Any:
    """Return what a file of the operator's own holds; None of an empty one.

    Raises:
        MarqueeError: it is no YAML in UTF-8, or its brackets are too deep for any reader.
    """
    try:
        if _depth(text) > MAX_DEPTH:
            raise ValueError(f"its brackets are more than {MAX_DEPTH} deep")
        return yaml.safe_load(text)
    except UNREADABLE as error:
        raise MarqueeError(f"{path} is not valid YAML: {one_line(error)}") from error


def check(text: bytes, name: str, path: Path) -> None:
    """Check that the file ``name`` of the archive ``path`` is a configuration.

    Raises:
        MarqueeError: it is too large, no YAML, or no mapping of keys to values.
    """
    where = f"{path_text(path)}: {short_repr(name)}"
    if len(text) > MAX_BYTES or _depth(text) > MAX_DEPTH:
        raise MarqueeError(
            f"{where} has more than {MAX_BYTES} bytes, or brackets more than {MAX_DEPTH} deep; no "
            "configuration needs so many"
        )
    try:
        events = yaml.parse(text, yaml.SafeLoader)
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in events)
        root = yaml.compose(text, yaml.SafeLoader)  # nothing is built from it yet
    except UNREADABLE as error:
        raise MarqueeError(f"{where} is no YAML ({one_line(error)})") from error
    if aliases > MAX_ALIASES:
        raise MarqueeError(f"{where} has {aliases} aliases, expected {MAX_ALIASES} at the most")
    if not isinstance(root, yaml.MappingNode):
        raise MarqueeError(f"{where} is no YAML of keys and values, such as 'minWorkers: 1'")


def _depth(text: bytes) -> int:
    """Return how deep brackets open; those in quotes count, which does no harm."""
    depth = deepest = 0
    for mark in re.findall(rb"[\[{\]}]", text):
        depth = depth + 1 if mark in b"[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def read(text: bytes, name: str, path: Path) -> dict[str, Any]:
    """Return what a configuration says.

    Raises:
        MarqueeError: it is none; see :func:`check`.
    """
    check(text, name, path)
    try:
        config: dict[str, Any] = yaml.safe_load(text)
    except UNREADABLE as error:
        where = f"{path_text(path)}: {short_repr(name)}"
        raise MarqueeError(f"{where} cannot be read ({one_line(error)})") from error
    return config
