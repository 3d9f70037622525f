"""Golden requests: what an archive was asked when it was made, and what it answered."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marquee.archives.comparison import difference, media_type
from marquee.errors import MarqueeError

FOLDER = "golden"
INDEX = f"{FOLDER}/requests.json"
# Of the requests, and of each body: an archive may come from anywhere.
MAX_REQUESTS = 256
MAX_BYTES = 100 << 20
# An archive's root: the folder of an unpacked one, or as good as one.
Root = Path | zipfile.Path


@dataclass(frozen=True)
class GoldenRequest:
    """A request with the answer that the archive gave on the day it was made.

    Attributes:
        name: such as ``example.png as application/json``.
        headers: to send, such as Accept.
        body: to send.
        status: expected.
        content_type: of the expected answer.
        expected: its bytes.
        tolerance: how far each number may be off: absolute for arrays, in grey levels of 255
            for pictures, and a share for JSON; see :func:`marquee.archives.comparison.difference`.
    """

    name: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    content_type: str
    expected: bytes
    tolerance: float

    def problem(self, status: int, content_type: str, body: bytes) -> str | None:
        """Return in a sentence what is wrong with an answer, or None if it fits."""
        if status != self.status:
            said = body[:200].decode(errors="replace")
            return f"{self.name}: answered with {status}, expected {self.status}: {said}"
        if media_type(content_type) != media_type(self.content_type):
            found = media_type(content_type) or "no type"
            return f"{self.name}: the answer is {found}, expected {self.content_type}"
        wrong = difference(self.content_type, self.expected, body, self.tolerance)
        return None if wrong is None else f"{self.name}: {wrong}"


@dataclass(frozen=True)
class GoldenEntry:
    """How the index names a golden request; bodies are entries of the archive."""

    name: str
    headers: Mapping[str, str]
    body: str
    status: int
    content_type: str
    expected: str
    tolerance: float


def index_text(entries: list[GoldenEntry]) -> str:
    """Return the index file of golden requests."""
    listed = [asdict(entry) for entry in entries]
    return json.dumps({"requests": listed}, indent=1, sort_keys=True) + "\n"


def read(archive: Path) -> list[GoldenRequest]:
    """Return an archive's golden requests; none of one that was not made by marquee.

    Raises:
        MarqueeError: there is no such file, or its golden requests are damaged.
    """
    if not archive.exists():
        raise MarqueeError(f"there is no archive {archive}")
    if not zipfile.is_zipfile(archive):
        return []
    try:
        with zipfile.ZipFile(archive) as opened:
            root = zipfile.Path(opened)
            return [_request(root, entry) for entry in entries(root)]
    except (OSError, KeyError, TypeError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise MarqueeError(
            f"the golden requests in {archive} cannot be read ({type(error).__name__}: {error}); "
            "build the archive again: marquee archive --force"
        ) from error


def entries(root: Root) -> list[GoldenEntry]:
    """Return an archive's index of golden requests; none where it has no index.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    if not (root / INDEX).is_file():
        return []
    listed = json.loads(read_bounded(root / INDEX))["requests"]
    return [GoldenEntry(**one) for one in listed[:MAX_REQUESTS]]


def read_bounded(path: Root) -> bytes:
    """Return a file's bytes.

    Raises:
        ValueError: they are more than ``MAX_BYTES``.
    """
    with path.open("rb") as file:
        content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_BYTES} bytes")
    return content


def _request(root: Root, entry: GoldenEntry) -> GoldenRequest:
    fields: dict[str, Any] = asdict(entry)
    fields["body"] = read_bounded(root / entry.body)
    fields["expected"] = read_bounded(root / entry.expected)
    return GoldenRequest(**fields)
