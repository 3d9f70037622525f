"""The grammar of ``java.util.Properties``: how TorchServe's Java reads its configuration.

A line is ``key=value``, ``key:value`` or ``key value``; ``#`` and ``!`` begin comments; a line that
ends in an odd number of backslashes goes on in the next; ``\\:`` is a colon, ``\\u00e9`` an é.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BLANKS = " \t\f"
# A key ends at the first of these that has no backslash before it; as many blanks may follow, and
# among them one sign.
KEY = re.compile(r"(?P<key>(?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(?P<value>.*)", re.DOTALL)
ESCAPE = re.compile(r"\\(u.{0,4}|.)", re.DOTALL)
LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
WRITTEN = {made: f"\\{letter}" for letter, made in LETTERS.items()}
HEX = re.compile(r"u[0-9A-Fa-f]{4}")


def loads(text: str) -> dict[str, str]:
    """Return what ``Properties.load`` makes of a file's text.

    Raises:
        ValueError: an escape ``\\u`` without four hex digits after it.
    """
    found = (KEY.fullmatch(line) for line in _logical_lines(text))
    return {_plain(one["key"]): _plain(one["value"]) for one in found if one}


def line(key: str, value: str) -> str:
    """Return a line of a file that ``Properties.load`` reads as ``key`` and ``value``."""
    kept = re.sub(r"^ ", r"\\ ", _escaped(value))
    return re.sub(r"[=:#! ]", r"\\\g<0>", _escaped(key)) + "=" + kept


def _logical_lines(text: str) -> Iterator[str]:
    """Yield the lines that are no comments, each joined with those that it goes on in."""
    parts: list[str] = []
    goes_on = False
    for natural in _natural_lines(text):
        stripped = natural.lstrip(BLANKS)
        # Also where a line goes on that had nothing but its backslash.
        if not any(parts) and stripped.startswith(("#", "!")):
            parts, goes_on = [], False
        elif stripped or goes_on:
            goes_on = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
            parts.append(stripped[:-1] if goes_on else stripped)
            if not goes_on and any(parts):
                yield "".join(parts)
            if not goes_on:
                parts = []
    # Java takes a backslash before the end for an entry, be it empty, but for one before "\r\n".
    if goes_on and (any(parts) or not text.endswith("\r\n")):
        yield "".join(parts)


def _natural_lines(text: str) -> list[str]:
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


def _plain(text: str) -> str:
    replaced = ESCAPE.sub(_character, text)
    # Two escapes of surrogates are one character.
    return replaced.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _character(found: re.Match[str]) -> str:
    letter = found[1]
    if not letter.startswith("u"):
        return LETTERS.get(letter, letter)
    if not HEX.fullmatch(letter):
        raise ValueError(f"\\{letter} is no character: four hex digits are expected after \\u")
    return chr(int(letter[1:], 16))


def _escaped(text: str) -> str:
    return "".join(WRITTEN.get(one) or _written(one) for one in text.replace("\\", "\\\\"))


def _written(character: str) -> str:
    """Return a character as it may stand in a file, which is Latin-1."""
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
