"""The text format of darknet's ``.cfg`` files, read as the C program reads it.

Blanks are removed anywhere in a line; empty lines and those that begin with ``#`` or ``;`` are
skipped; ``[name]`` opens a section; anything else is ``key=value``. Of a key given twice the
first counts. There are no comments behind a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BLANKS = str.maketrans("", "", " \t\r")
# What C's atoi and atof take of a text: the number it begins with.
INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MAX_BYTES = 4_000_000
# Each is a layer to be built; the largest networks that are published have some 500.
MAX_SECTIONS = 1000
# Of its int, and how many digits that has.
LARGEST, DIGITS = (1 << 31) - 1, 10


class ConfigError(ValueError):
    """A ``.cfg`` that cannot be used; names the file, the line and the section."""


@dataclass(frozen=True)
class Section:
    """One ``[name]`` with its options.

    Attributes:
        kind: the name without brackets.
        line: where it stands, counted from 1.
        source: the file's name, for messages.
        options: key to (value, line).
    """

    kind: str
    line: int
    source: str
    options: dict[str, tuple[str, int]] = field(default_factory=dict)

    def error(self, message: str, key: str | None = None) -> ConfigError:
        """Return an error that points at ``key``'s line, or at the section's own."""
        line = self.options[key][1] if key in self.options else self.line
        return ConfigError(f"{self.source}, line {line}, [{self.kind}]: {message}")

    def text(self, key: str, default: str) -> str:
        """Return the value of ``key``."""
        return self.options[key][0] if key in self.options else default

    def integer(self, key: str, default: int, minimum: int | None = None) -> int:
        """Return ``key`` as an integer; what follows its digits is ignored, as C does."""
        value = (self.integers(key) or [default])[0]
        if minimum is not None and value < minimum:
            raise self.error(f"{key} is {value}, expected at least {minimum}", key)
        return value

    def number(self, key: str, default: float) -> float:
        """Return ``key`` as a number."""
        return (self.numbers(key) or [default])[0]

    def integers(self, key: str) -> list[int] | None:
        """Return ``key`` as a list of integers, None where it is absent."""
        if key not in self.options:
            return None
        # Without zeros, and cut: of thousands of digits Python makes no number.
        parts = [(n[0] == "-", n.lstrip("+-").lstrip("0")) for n in self._numbers(key, INTEGER)]
        sizes = [int(digits[: DIGITS + 1] or 0) for _, digits in parts]
        if max(sizes) > LARGEST:
            raise self.error(f"{key} is '{self._shown(key)}', expected at most {LARGEST}", key)
        return [
            -size if negative else size for size, (negative, _) in zip(sizes, parts, strict=True)
        ]

    def numbers(self, key: str) -> list[float] | None:
        """Return ``key`` as a list of numbers, None where it is absent."""
        if key not in self.options:
            return None
        found = [float(n) for n in self._numbers(key, NUMBER)]
        if not all(map(math.isfinite, found)):
            raise self.error(f"{key} is '{self._shown(key)}', expected finite numbers", key)
        return found

    def _numbers(self, key: str, pattern: re.Pattern[str]) -> list[str]:
        value = self.options[key][0]
        found = [pattern.match(part) for part in value.removesuffix(",").split(",")]
        if None in found:
            raise self.error(
                f"{key} is '{self._shown(key)}', expected a number or a list of them", key
            )
        return [match[0] for match in found if match]

    def _shown(self, key: str) -> str:
        return self.options[key][0][:60]

    def refuse(self, *keys: str) -> None:
        """Refuse keys that would change the result in a way that is not implemented here."""
        for key in keys:
            if key in self.options and self.text(key, "0") not in ("0", "none"):
                raise self.error(f"{key}={self.text(key, '')} is not supported", key)


def read_cfg(path: Path) -> list[Section]:
    """Read a ``.cfg`` file; the first section is the network's own.

    Raises:
        ConfigError: no such file, or not in this format.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such .cfg file")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path} has {path.stat().st_size} bytes; no .cfg is that long")
    return parse_cfg(path.read_text("utf-8-sig", errors="replace"), path.name)


def parse_cfg(text: str, source: str) -> list[Section]:
    """Read the text of a ``.cfg`` file; ``source`` names it in messages."""
    sections: list[Section] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.translate(BLANKS)
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            sections.append(_section(line, number, source))
        elif sections:
            _add_option(sections[-1].options, line, number)
        else:
            raise ConfigError(f"{source}, line {number}: expected [net] before any other line")
    if not sections or sections[0].kind not in ("net", "network"):
        found = f"line {sections[0].line}: [{sections[0].kind}]" if sections else "no section"
        raise ConfigError(f"{source}: the first section must be [net], found {found}")
    if len(sections) > MAX_SECTIONS:
        raise ConfigError(f"{source}: {len(sections)} sections, expected at most {MAX_SECTIONS}")
    return sections


def _section(line: str, number: int, source: str) -> Section:
    if not line.endswith("]"):
        raise ConfigError(f"{source}, line {number}: expected [section], found '{line[:60]}'")
    return Section(line[1:-1], number, source)


def _add_option(options: dict[str, tuple[str, int]], line: str, number: int) -> None:
    """A line without ``=`` or without a value counts as absent; of two the first counts."""
    key, _, value = line.partition("=")
    if value:
        options.setdefault(key, (value, number))


def parse_options(text: str) -> Mapping[str, str]:
    """Read ``key = value`` lines without sections, as a ``.data`` file has them."""
    options: dict[str, tuple[str, int]] = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.translate(BLANKS)
        if line and line[0] not in "#;":
            _add_option(options, line, number)
    return {key: value for key, (value, _) in options.items()}
