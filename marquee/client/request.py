"""What is sent for each file: headers, and a body that is a file, or a pipe's that is read once."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from marquee.errors import MarqueeError
from marquee.media import HEAD, type_by

STDIN = Path("-")
CHUNK = 1 << 20


@dataclass(frozen=True)
class PredictionRequest:
    """What is asked of each file.

    Attributes:
        model, version: who answers; the default version when none is named.
        verb: ``predictions`` or ``explanations``.
        accept: media type of the answer; the model's own default when there is none.
        parameters: the model's parameters, such as ``{"top_k": "3"}``.
        content_type: media type of the files; by each one's bytes and name when there is none.
    """

    model: str
    version: str | None = None
    verb: str = "predictions"
    accept: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None

    def headers(self, content_type: str) -> dict[str, str]:
        """Return the headers for a body that seems to be of this type.

        Raises:
            MarqueeError: a parameter or a type does not fit into a header.
        """
        made = {"Content-Type": self.content_type or content_type}
        made |= {"Accept": self.accept} if self.accept else {}
        for name, value in made.items():
            if not _fits(value):
                raise MarqueeError(f"{name} {value!r} is not plain ASCII, which a header needs")
        for name, value in self.parameters.items():
            if not (_fits(value) and re.fullmatch(r"[\w-]+", name, re.ASCII)):
                raise MarqueeError(
                    f"parameter {name}={value!r} is not plain ASCII, which a header needs; send "
                    "it in a JSON file with the image as base64 instead"
                )
            made[f"X-Marquee-{name.replace('_', '-').title()}"] = value
        return made


def _fits(value: str) -> bool:
    return value.isascii() and value.isprintable()


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
