"""How the workers of a version answer, as far as its archive tells."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from marquee.serving.management import Version
from marquee.serving.watch import Root
from marquee.swapping.probe import Example, Question, questions

# With these settings a worker has several batches in hand at a time, in an order of its own.
MINGLING = ("asyncCommunication", "continuousBatching", "sequenceBatching", "stateful")
# A handler that answers in pieces may take responseTimeout anew for each.
IN_PIECES = b"send_intermediate_predict_response"
# Of source or settings larger than this nothing is believed.
MAX_BYTES = 1 << 20
NOTHING = Example("an empty request", b"")


@dataclass(frozen=True)
class Manner:
    """How a worker answers; the defaults are what is believed of an unknown archive.

    Attributes:
        asked: requests that it understands.
        in_turn: whether it answers one batch before it takes the next.
        at_once: whether ``responseTimeout`` bounds all of an answer, not each piece of it.
    """

    asked: Sequence[Question] = ()
    in_turn: bool = False
    at_once: bool = False

    @property
    def last_request(self) -> Question:
        """What to send to a worker in order to hear from it; any answer will do."""
        return self.asked[0] if self.asked else NOTHING

    @classmethod
    def of(cls, store: Path, version: Version) -> Manner:
        """Read the archive of a version from the model store."""
        archive = store / Path(version.archive).name
        if not version.archive or not archive.exists():
            return cls()
        asked = questions(archive)
        if archive.is_dir():
            return _read(archive, asked)
        if not zipfile.is_zipfile(archive):
            return cls(asked)
        with zipfile.ZipFile(archive) as opened:
            return _read(zipfile.Path(opened), asked)


def _read(root: Root, asked: Sequence[Question]) -> Manner:
    mingling = any(_mingles(_text(path)) for path in _files(root, (".yaml", ".yml")))
    pieces = any(_in_pieces(_text(path)) for path in _files(root, (".py",)))
    return Manner(asked, in_turn=not mingling, at_once=not (mingling or pieces))


def _files(root: Root, suffixes: tuple[str, ...]) -> Iterator[Root]:
    for path in root.iterdir():
        if path.is_dir():
            yield from _files(path, suffixes)
        elif path.name.endswith(suffixes):
            yield path


def _text(path: Root) -> bytes:
    """Return a file's content, and a byte too much of one in which nothing is believed."""
    with path.open("rb") as file:
        text: bytes = file.read(MAX_BYTES + 1)
    return text


def _mingles(text: bytes) -> bool:
    if len(text) > MAX_BYTES:
        return True
    try:
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return True
    return isinstance(settings, dict) and any(settings.get(name) for name in MINGLING)


def _in_pieces(text: bytes) -> bool:
    return len(text) > MAX_BYTES or IN_PIECES in text
