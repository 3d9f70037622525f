"""What an archive is asked to see whether its model works: its golden requests, or its example."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from marquee.archives import configuration, golden
from marquee.archives.reader import CONFIG_NAME
from marquee.errors import MarqueeError
from marquee.media import type_of

# Of an archive that may come from anywhere.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArchiveRequest(Protocol):
    """A request that an archive holds, and what to think of its answer."""

    @property
    def name(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    def problem(self, status: int, content_type: str, body: bytes) -> str | None: ...


@dataclass(frozen=True)
class ExampleRequest:
    """A request without a known answer: only a failure of the server's is wrong.

    Attributes:
        body: to send.
        headers: to send with it.
        name: how messages call it.
    """

    body: bytes
    headers: Mapping[str, str]
    name: str = "its example"

    def problem(self, status: int, _content_type: str, body: bytes) -> str | None:
        """Return what is wrong with an answer, or None."""
        if status < 500:
            return None
        return f"{self.name}: answered with {status}: {body[:200].decode(errors='replace')}"


def requests_of(archive: Path | None) -> list[ArchiveRequest]:
    """Return an archive's golden requests; without any, its example; else nothing.

    Raises:
        MarqueeError: the archive is damaged.
    """
    if archive is None or not archive.exists():
        return []
    known: list[ArchiveRequest] = [*golden.read(archive)]
    if known:
        return known
    example = example_of(archive)
    return [] if example is None else [example]


def example_of(archive: Path) -> ExampleRequest | None:
    """Return what an archive's model is asked, or None where the archive has no example.

    The first of its golden requests that is answered with 200, which come with the headers that
    they need; in archives without them, the first ``example.*``.

    Args:
        archive: the file, or the folder of an unpacked one.

    Raises:
        MarqueeError: the archive is damaged.
    """
    try:
        if archive.is_dir():
            return _example_in(archive, archive)
        if not zipfile.is_zipfile(archive):
            return None
        with zipfile.ZipFile(archive) as opened:
            return _example_in(zipfile.Path(opened), archive)
    except UNREADABLE as error:
        raise MarqueeError(
            f"the example in {archive} cannot be read ({error}); build the archive again"
        ) from error


def _example_in(root: golden.Root, archive: Path) -> ExampleRequest | None:
    return _golden_example(root) or _plain_example(root, archive)


def _golden_example(root: golden.Root) -> ExampleRequest | None:
    entry = next((one for one in golden.entries(root) if one.status == 200), None)
    if entry is None:
        return None
    return ExampleRequest(golden.read_bounded(root / entry.body), entry.headers)


def _plain_example(root: golden.Root, archive: Path) -> ExampleRequest | None:
    names = sorted(path.name for path in root.iterdir() if path.name.startswith("example."))
    if not names:
        return None
    content_type = _stated_type(root, archive) or type_of(Path(names[0]))
    body = golden.read_bounded(root / names[0])
    return ExampleRequest(body, {"Content-Type": content_type})


def _stated_type(root: golden.Root, archive: Path) -> str | None:
    """Return the example's type where ``marquee archive script --example-type`` wrote it down."""
    if not (root / CONFIG_NAME).is_file():
        return None
    content = golden.read_bounded(root / CONFIG_NAME)
    value: Any = configuration.read(content, CONFIG_NAME, archive)
    for key in ("marquee", "options", "example_type"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
