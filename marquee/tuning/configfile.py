"""Numbers written into a model-config.yaml that people keep: everything else in it stays."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from marquee.errors import MarqueeError
from marquee.files import replacing

Key = tuple[str, ...]
Value = int | str


def write(path: Path, version: str, changes: Mapping[Key, Value]) -> dict[Key, Value]:
    """Set keys in a room's model-config.yaml; comments, order and blanks stay as they are.

    A key of ``marquee:`` that the version has for itself is set there.

    Returns:
        What was set, by the keys' paths in the file.

    Raises:
        MarqueeError: the file cannot be edited so; it is as it was.
    """
    text = path.read_text()
    placed = _placed(yaml.safe_load(text), version, changes)
    edited = text
    for key, value in placed.items():
        edited = _edited(edited, key, value)
    _check(path, text, edited, placed)
    with replacing(path) as part:
        part.write_text(edited)
        part.chmod(path.stat().st_mode & 0o777)
    return placed


def _placed(config: Any, version: str, changes: Mapping[Key, Value]) -> dict[Key, Value]:
    own = config["marquee"]["versions"][version]
    return {
        ("marquee", "versions", version, key[-1]) if len(key) > 1 and key[-1] in own else key: value
        for key, value in changes.items()
    }


def _edited(text: str, key: Key, value: Value) -> str:
    """Return a text in which one key has another value; the key is added where it is not."""
    node: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    for depth, name in enumerate(key):
        if not isinstance(node, yaml.MappingNode):
            return text
        found = next((below for one, below in node.value if one.value == name), None)
        if found is None:
            return _added(text, node, key[depth:], value)
        node = found
    if node is None:
        return text
    start, end = node.start_mark.index, node.end_mark.index
    new, after = str(value), text[end:]
    return text[:start] + new + _moved(after, len(new) - (end - start))


def _moved(after: str, growth: int) -> str:
    """Return what follows a value, with a comment in its line left in its column if it can be."""
    rest = after.lstrip(" ")
    if not rest.startswith("#"):
        return after
    return " " * max(1, len(after) - len(rest) - growth) + rest


def _added(text: str, node: yaml.MappingNode, key: Key, value: Value) -> str:
    """Return a text with a new first key in a mapping."""
    if len(key) > 1:
        return text  # no such section: told by the check
    line = f"{key[0]}: {value}"
    if node.flow_style:
        at = node.start_mark.index + 1
        return text[:at] + line + (", " if node.value else "") + text[at:]
    first = node.start_mark
    return text[: first.index] + line + "\n" + " " * first.column + text[first.index :]


def _check(path: Path, before: str, after: str, placed: Mapping[Key, Value]) -> None:
    """Refuse an edit that changes more or less than it should, as with anchors."""
    expected = copy.deepcopy(yaml.safe_load(before))
    for key, value in placed.items():
        section = expected
        for name in key[:-1]:
            section = section.get(name) or {}
        section[key[-1]] = value
    try:
        found = yaml.safe_load(after)
    except yaml.YAMLError:
        found = None
    if found != expected:
        wanted = ", ".join(f"{'.'.join(key)}: {value}" for key, value in placed.items())
        raise MarqueeError(f"{path} cannot be edited without changing more; set yourself: {wanted}")
