"""What an archive's manifest says: the one reader of it, the one rule for names and versions.

A model's name and version become part of paths, file names, log lines and HAProxy's maps, so they
are held to torch-model-archiver's own rule wherever they come from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from marquee.errors import MarqueeError

MANIFEST = "MAR-INF/MANIFEST.json"
MAX_BYTES = 1 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]*")
NUMBER = re.compile(r"\d+(?:\.\d+)*")
# `.<name>-<version>.tar.gz.part` must fit into the 255 bytes of a file's name.
LONGEST = {"name": 160, "version": 64}
# What TorchServe takes a version for that is not there.
DEFAULT_VERSION = "1.0"
RUNTIMES = ("python", "python2", "python3", "LSP")
FILES = ("serializedFile", "modelFile", "configFile", "requirementsFile")
BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "begins with a byte order mark",
    b"\xff\xfe": "is UTF-16",
    b"\xfe\xff": "is UTF-16",
}
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Manifest:
    """A manifest that can be served.

    Attributes:
        name, version: of the model; safe in a path, a URL and a file's name.
        handler: such as ``handler.py``, ``handler.py:handle`` or ``image_classifier``.
        files: which files of the archive play which part, by the manifest's keys in ``FILES``.
        content: the manifest as it is written.
    """

    name: str
    version: str
    handler: str
    files: Mapping[str, str]
    content: Mapping[str, Any]

    @property
    def marquee(self) -> Mapping[str, Any]:
        """What marquee wrote of the archive that it made; nothing in others'."""
        section = self.content.get("marquee")
        return section if isinstance(section, dict) else {}

    @property
    def weights_origin(self) -> str | None:
        """Which weights the archive holds: ``demo``, or the user's file and its SHA-256's start.

        None of an archive that was not made from a room.
        """
        origin = self.marquee.get("weights_from")
        if origin is None or origin == "demo":
            return origin
        return f"your {self.marquee.get('weights_file')} {str(self.marquee.get('weights'))[:12]}"


def rule_broken(what: str, value: str) -> str | None:
    """Return how a ``name`` or ``version`` breaks the rule, or None if it keeps to it."""
    expected = (
        "expected letters (a to z), digits, '-', '_' and '.', a letter or a digit first, "
        f"no '..', {LONGEST[what]} characters at the most"
    )
    # TorchServe takes no file whose name has "..".
    if len(value) <= LONGEST[what] and NAME.fullmatch(value) and ".." not in value:
        return None
    return f"the {what} is {short_repr(value)}; {expected}"


def version_order(version: str) -> tuple[bool, Version, list[tuple[int, str]], str]:
    """Return what sorts versions, lowest first (10.0 after 9.0); no two of them are equal in it.

    As PEP 440 says for those that it knows. TorchServe takes any word for one: such a version
    stands right after the number that it begins with (2.0, 2.0-gpu, 2.1), or else before all.
    """
    try:
        return True, Version(version), [], version
    except InvalidVersion:
        number = NUMBER.match(version)
        release = number[0] if number else ""
        # Words and numbers apart, so that run-10 comes after run-9.
        parts = re.findall(r"\d+|\D+", version[len(release) :])
        words = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
        return bool(number), Version(release or "0"), words, version


def short_repr(value: object) -> str:
    """Return a value as it may stand in a message: printable and short."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def parse(text: bytes, path: Path) -> Manifest:
    """Read the manifest of the archive ``path``.

    A version that is missing is 1.0, and a number is text.

    Raises:
        MarqueeError: names the archive, what is wrong with its manifest, and what was expected.
    """
    content = _object(text, path)
    model = content.get("model")
    if not isinstance(model, dict):
        raise _wrong(path, "has no 'model' object; it is no manifest of TorchServe's")
    if content.get("runtime", RUNTIMES[0]) not in RUNTIMES:
        runtime = short_repr(content["runtime"])
        raise _wrong(path, f"has the runtime {runtime}, expected one of {', '.join(RUNTIMES)}")
    return Manifest(
        name=_ruled("name", _text(model, "modelName", None, path), path),
        version=_ruled("version", _text(model, "modelVersion", DEFAULT_VERSION, path), path),
        handler=_inside("handler", _text(model, "handler", None, path), path),
        files={
            key: _inside(key, _text(model, key, None, path), path)
            for key in FILES
            if model.get(key)
        },
        content=content,
    )


def _object(text: bytes, path: Path) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise _wrong(path, f"has more than {MAX_BYTES} bytes; no manifest needs so many")
    for mark, what in BYTE_ORDER_MARKS.items():
        if text.startswith(mark):
            raise _wrong(path, f"{what}, which TorchServe does not read; save it as plain UTF-8")
    try:
        # Numbers as they are written: 1.10 is not 1.1.
        content = json.loads(
            text.decode(), parse_int=str, parse_float=str, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"is no JSON ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise _wrong(path, f"is no JSON object but {short_repr(content)}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what TorchServe's Java and its Python may read differently."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("it has a key twice")
    return content


def _text(model: Mapping[str, Any], key: str, otherwise: str | None, path: Path) -> str:
    value = model.get(key)
    if value is None or value == "":
        value = otherwise
    if value is None:
        raise _wrong(path, f"has no model.{key}, which TorchServe needs")
    if not isinstance(value, str):
        raise _wrong(path, f"has {short_repr(value)} as model.{key}, expected text")
    return value


def _ruled(what: str, value: str, path: Path) -> str:
    problem = rule_broken(what, value)
    if problem is not None:
        raise _wrong(path, f"cannot be served: {problem}; archive the model again with another")
    return value


def _inside(key: str, name: str, path: Path) -> str:
    """Refuse a file that lies outside the archive."""
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or not name.isprintable():
        raise _wrong(path, f"has {short_repr(name)} as model.{key}, expected a file of the archive")
    return name


def _wrong(path: Path, what: str) -> MarqueeError:
    return MarqueeError(f"{path_text(path)}: {MANIFEST} {what}")


def one_line(error: Exception) -> str:
    """Return what an error says, short and in one line."""
    return " ".join(str(error).split())[:200]


def path_text(path: Path) -> str:
    """Return a path for a message; one that would break it in two is quoted."""
    text = str(path)
    return text if text.isprintable() else repr(text)
