"""What an archive is asked to see whether its model works: golden requests, or its example.

Golden requests are what it was asked when it was made, with what it answered.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marquee.archives import configuration
from marquee.archives.comparison import difference
from marquee.archives.reader import CONFIG_NAME, DAMAGE
from marquee.errors import MarqueeError
from marquee.media import media_type, type_of

FOLDER = "golden"
INDEX = f"{FOLDER}/requests.json"
# Of the requests, and of each body: an archive may come from anywhere.
MAX_REQUESTS = 256
MAX_BYTES = 100 << 20
UNREADABLE = (
    *DAMAGE,
    *(KeyError, TypeError, AttributeError),
)
# An archive's root: the folder of an unpacked one, or as good as one.
Root = Path | zipfile.Path


@dataclass(frozen=True)
class GoldenRequest:
    """A request with the answer that the archive gave on the day it was made.

    Attributes:
        name: such as ``example.png as application/json``.
        headers, body: to send.
        status, content_type, expected: of the answer; the last are its bytes.
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
class ExampleRequest:
    """A request without a known answer: only a failure of the server's is wrong."""

    body: bytes
    headers: Mapping[str, str]
    name: str = "its example"

    def problem(self, status: int, _content_type: str, body: bytes) -> str | None:
        """Return what is wrong with an answer, or None."""
        if status < 500:
            return None
        return f"{self.name}: answered with {status}: {body[:200].decode(errors='replace')}"


ArchiveRequest = GoldenRequest | ExampleRequest


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


def requests_of(archive: Path | None) -> list[ArchiveRequest]:
    """Return an archive's golden requests; without any, its example; else nothing.

    Raises:
        MarqueeError: the archive is damaged.
    """
    if archive is None or not archive.exists():
        return []
    return [*read(archive)] or [*filter(None, [example_of(archive)])]


def read(archive: Path) -> list[GoldenRequest]:
    """Return the golden requests of an archive, packed or not; of one not made by marquee, none.

    Raises:
        MarqueeError: there is no such file, or its golden requests are damaged.
    """
    if not archive.exists():
        raise MarqueeError(f"there is no archive {archive}")
    if not _is_archive(archive):
        return []
    with _opened(archive, "golden requests") as root:
        return [_request(root, entry) for entry in _entries(root)]


def example_of(archive: Path) -> ExampleRequest | None:
    """Return what the model of an archive, packed or not, is asked; None where it has no example.

    The first of its golden requests that is answered with 200, which come with the headers that
    they need; in archives without them, the first ``example.*``.

    Raises:
        MarqueeError: the archive is damaged.
    """
    if not _is_archive(archive):
        return None
    with _opened(archive, "example") as root:
        for entry in _entries(root):
            if entry.status == 200:
                return ExampleRequest(_bytes_of(_inside(root, entry.body)), entry.headers)
        return _plain_example(root, archive)


def _is_archive(path: Path) -> bool:
    return path.is_dir() or zipfile.is_zipfile(path)


@contextmanager
def _opened(archive: Path, wanted: str) -> Iterator[Root]:
    """Lend an archive's root; what cannot be read of it is told by its name."""
    try:
        if archive.is_dir():
            yield archive
            return
        with zipfile.ZipFile(archive) as opened:
            yield zipfile.Path(opened)
    except UNREADABLE as error:
        raise MarqueeError(
            f"the {wanted} in {archive} cannot be read ({type(error).__name__}: {error}); "
            "build the archive again: marquee archive --force"
        ) from error


def _entries(root: Root) -> list[GoldenEntry]:
    """Return an archive's index of golden requests; none where it has no index."""
    if not (root / INDEX).is_file():
        return []
    listed = json.loads(_bytes_of(root / INDEX))["requests"]
    return [GoldenEntry(**one) for one in listed[:MAX_REQUESTS]]


def _inside(root: Root, name: str) -> Root:
    """Return an archive's file; a path out of an unpacked one is a ValueError."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{name!r} leads out of the archive")
    return root / name


def _request(root: Root, entry: GoldenEntry) -> GoldenRequest:
    bodies = {name: _bytes_of(_inside(root, getattr(entry, name))) for name in ("body", "expected")}
    return GoldenRequest(**asdict(entry) | bodies)


def _plain_example(root: Root, archive: Path) -> ExampleRequest | None:
    names = sorted(path.name for path in root.iterdir() if path.name.startswith("example."))
    if not names:
        return None
    content_type = _stated_type(root, archive) or type_of(Path(names[0]))
    return ExampleRequest(_bytes_of(root / names[0]), {"Content-Type": content_type})


def _stated_type(root: Root, archive: Path) -> str | None:
    """Return the example's type where ``marquee archive script --example-type`` wrote it down."""
    if not (root / CONFIG_NAME).is_file():
        return None
    value: Any = configuration.read(_bytes_of(root / CONFIG_NAME), CONFIG_NAME, archive)
    for key in ("marquee", "options", "example_type"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _bytes_of(path: Root) -> bytes:
    """Return a file's bytes; more than ``MAX_BYTES`` are a ValueError."""
    with path.open("rb") as file:
        content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_BYTES} bytes")
    return content
