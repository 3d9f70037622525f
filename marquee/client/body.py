"""The body of a request: a file, or what a pipe gives, which can be read once only."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from marquee.media import type_by
from marquee.signatures import HEAD

STDIN = Path("-")
CHUNK = 1 << 20


@dataclass(frozen=True)
class Body:
    """What is sent.

    Attributes:
        name: of the file, for the names of its answers.
        stream: to read from; it can be wound back.
        content_type: by the name and the first bytes.
        size: in bytes.
    """

    name: Path
    stream: BinaryIO
    content_type: str
    size: int


@contextmanager
def opened(file: Path, limit: int) -> Iterator[Body]:
    """Open a file; of a pipe, or of standard input for ``-``, keep up to ``limit`` bytes on disk.

    Raises:
        OSError: it cannot be read, or a pipe gives more.
    """
    if file == STDIN:
        with _kept(sys.stdin.buffer, STDIN, limit) as kept:
            yield _body(Path("stdin"), kept)
        return
    with file.open("rb") as stream:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            yield _body(file, stream)
            return
        with _kept(stream, file, limit) as kept:
            yield _body(file, kept)


def _body(name: Path, stream: BinaryIO) -> Body:
    head = stream.read(HEAD)
    return Body(name, stream, type_by(name, head), os.fstat(stream.fileno()).st_size)


@contextmanager
def _kept(source: BinaryIO, name: Path, limit: int) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as kept:
        while chunk := source.read(CHUNK):
            kept.write(chunk)
            if kept.tell() > limit:
                words = f"it gives more than the {limit} bytes that the server takes"
                raise OSError(errno.EFBIG, words, str(name))
        kept.flush()
        kept.seek(0)
        yield kept
