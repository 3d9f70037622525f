"""The order of a model's versions: 10.0 after 9.0, and 1.0rc1 before 1.0."""

from __future__ import annotations

import re

from packaging.version import InvalidVersion, Version

NUMBER = re.compile(r"\d+(?:\.\d+)*")
Order = tuple[bool, Version, list[tuple[int, str]], str]


def version_order(version: str) -> Order:
    """Return what sorts versions, lowest first; no two of them are equal in it.

    As PEP 440 says for those that it knows. TorchServe takes any word for one: such a version
    stands right after the number that it begins with (2.0, 2.0-gpu, 2.1), or else before all.
    """
    try:
        return True, Version(version), [], version
    except InvalidVersion:
        number = NUMBER.match(version)
        release = number[0] if number else ""
        return bool(number), Version(release or "0"), _words(version[len(release) :]), version


def _words(text: str) -> list[tuple[int, str]]:
    """Split into words and numbers, so that run-10 comes after run-9."""
    parts: list[str] = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
