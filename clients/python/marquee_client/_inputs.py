"""What is sent: a body that can be sent again, its type, and parameters as headers."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

OCTETS = "application/octet-stream"
JSON = "application/json"
# Short names of types, for inputs by their suffix and for ``accept``.
TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "npy": "application/x-npy",
    "json": JSON,
}
CHUNK = 1 << 20
# A path, a file's bytes, an open file, a pillow image, a numpy array, a dict or a list.
Input: TypeAlias = Any


@dataclass(frozen=True)
class Body:
    """What is sent.

    Attributes:
        stream: to read from, and to wind back for another try.
        size: in bytes.
        content_type: its media type; that of unknown bytes leaves it to the server to look.
        lent: the stream is somebody else's, who closes it.
    """

    stream: BinaryIO
    size: int
    content_type: str = OCTETS
    lent: bool = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the body from its beginning."""
        self.stream.seek(0)
        while chunk := self.stream.read(CHUNK):
            yield chunk

    def close(self) -> None:
        """Let go of what was opened here."""
        if not self.lent:
            self.stream.close()


def body_of(value: Input) -> Body:
    """Return a body for whatever is asked about.

    Raises:
        TypeError: it is nothing that can be sent.
        OSError: the file cannot be read.
    """
    if isinstance(value, (str, os.PathLike)):
        return _of_file(Path(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(value))
    if isinstance(value, (dict, list)):
        return _of_bytes(json.dumps(value, allow_nan=False).encode(), JSON)
    # Neither numpy nor pillow need be there to be asked.
    if hasattr(value, "dtype") and hasattr(value, "__array_interface__"):
        return _of_array(value)
    if hasattr(value, "save") and hasattr(value, "convert"):
        return _of_picture(value)
    if hasattr(value, "read"):
        return _of_stream(value)
    raise TypeError(
        f"a {type(value).__name__} cannot be sent; expected a path, bytes, an open file, a pillow "
        "image, a numpy array, or a dict or list for JSON"
    )


def _of_file(path: Path) -> Body:
    stream = path.open("rb")
    kind = TYPES.get(path.suffix.lower().lstrip("."), OCTETS)
    return Body(stream, os.fstat(stream.fileno()).st_size, kind)


def _of_bytes(data: bytes, kind: str = OCTETS) -> Body:
    return Body(io.BytesIO(data), len(data), kind)


def _of_stream(stream: BinaryIO) -> Body:
    """Return a body that is read as it goes; of a pipe, what it holds."""
    if not stream.seekable():
        return _of_bytes(stream.read())
    return Body(stream, stream.seek(0, os.SEEK_END), lent=True)


def _of_array(array: Any) -> Body:
    import numpy as np  # noqa: PLC0415 - whoever has an array has it

    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return _of_bytes(stream.getvalue(), TYPES["npy"])


def _of_picture(picture: Any) -> Body:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return _of_bytes(stream.getvalue(), TYPES["png"])


def media(word: str) -> str:
    """Return the media type of a short name such as ``png``; one with a slash as it is.

    Raises:
        ValueError: it is neither.
    """
    if "/" not in word and word not in TYPES:
        raise ValueError(f"{word!r} is no media type; expected one, or {', '.join(TYPES)}")
    return TYPES.get(word, word)


def parameter_headers(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return a model's parameters as headers; those that are None are left out.

    Raises:
        ValueError: a value has letters that no header takes.
    """
    made = {}
    for name, value in parameters.items():
        if value is None:
            continue
        text = _text(value)
        if not (text.isascii() and text.isprintable()):
            raise ValueError(
                f"parameter {name}={text!r} is not plain ASCII, which a header needs; send a dict "
                "with the image as base64 and the parameter beside it instead"
            )
        made[f"X-Marquee-{name.replace('_', '-')}"] = text
    return made


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(one) for one in value)
    return str(value)
