"""How the workers of a version answer, as far as its archive tells."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from marquee.archives import reader
from marquee.archives.example import ArchiveRequest, ExampleRequest, requests_of
from marquee.archives.golden import Root
from marquee.errors import MarqueeError
from marquee.torchserve.management import Version

# With these settings a worker has several batches in hand at a time, in an order of its own.
MINGLING = ("asyncCommunication", "continuousBatching", "sequenceBatching", "stateful")
# A handler that answers in pieces may take responseTimeout anew for each.
IN_PIECES = b"send_intermediate_predict_response"
# Of a source larger than this nothing is believed.
MAX_BYTES = 1 << 20
NOTHING = ExampleRequest(b"", {}, "an empty request")


@dataclass(frozen=True)
class Manner:
    """How a worker answers; the defaults are what is believed of an unknown archive.

    Attributes:
        asked: requests that it understands.
        in_turn: whether it answers one batch before it takes the next.
        at_once: whether ``responseTimeout`` bounds all of an answer, not each piece of it.
    """

    asked: Sequence[ArchiveRequest] = ()
    in_turn: bool = False
    at_once: bool = False

    @property
    def last_request(self) -> ArchiveRequest:
        """What to send to a worker in order to hear from it; any answer will do."""
        return self.asked[0] if self.asked else NOTHING

    @classmethod
    def of(cls, store: Path, version: Version) -> Manner:
        """Read the archive of a version from the model store."""
        archive = store / Path(version.archive).name
        if not version.archive or not archive.exists():
            return cls()
        asked = requests_of(archive)
        try:
            config = reader.config(archive)
        except MarqueeError:
            return cls(asked)
        if reader.suffix_of(archive) in reader.TARS:
            return cls(asked)  # its sources are not looked through
        mingling = any(config.get(name) for name in MINGLING)
        return cls(asked, in_turn=not mingling, at_once=not (mingling or _in_pieces(archive)))


def _in_pieces(archive: Path) -> bool:
    """Whether some source in an archive has the word for answers in pieces."""
    if archive.is_dir():
        return any(_tells(path) for path in _sources(archive))
    with zipfile.ZipFile(archive) as opened:
        return any(_tells(path) for path in _sources(zipfile.Path(opened)))


def _sources(root: Root) -> Iterator[Root]:
    for path in root.iterdir():
        if path.is_dir():
            yield from _sources(path)
        elif path.name.endswith(".py"):
            yield path


def _tells(path: Root) -> bool:
    with path.open("rb") as file:
        text: bytes = file.read(MAX_BYTES + 1)
    return len(text) > MAX_BYTES or IN_PIECES in text
