"""Media types: what a body is, and what a client accepts (RFC 9110, sections 8.3 and 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from functools import lru_cache

from handlers.runtime.errors import NotAcceptable

JSON = "application/json"
NPY = "application/x-npy"
PNG = "image/png"
JPEG = "image/jpeg"
OCTETS = "application/octet-stream"
PLAIN = "text/plain"
MULTIPART = "multipart/form-data"
FORM = "application/x-www-form-urlencoded"
# What clients send in place of the registered names.
ALIASES = {
    "image/jpg": JPEG,
    "image/pjpeg": JPEG,
    "image/jpe": JPEG,
    "image/jfif": JPEG,
    "image/x-jpeg": JPEG,
    "image/x-jpg": JPEG,
    "image/x-png": PNG,
    "image/apng": PNG,
    "image/tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "image/geotiff": "image/tiff",
    "application/geotiff": "image/tiff",
    "application/npy": NPY,
    "application/x-numpy": NPY,
    "text/json": JSON,
    "text/x-json": JSON,
    "application/x-json": JSON,
}
# Of an Accept header; a browser sends eight.
MAX_RANGES = 100
# Types that say nothing about the bytes, such as what object stores give a file of unknown type.
UNDECLARED = frozenset(
    {
        "",
        "*/*",
        OCTETS,
        "application/binary",
        "application/data",
        "application/force-download",
        "application/image",
        "application/octetstream",
        "application/unknown",
        "application/x-binary",
        "application/x-download",
        "application/x-image",
        "application/x-octet-stream",
        "application/x-unknown",
        "binary/octet-stream",
        "content/unknown",
    }
)


def media_type(header: str | None) -> str:
    """Return the lower-case media type of a header, without parameters, by its registered name."""
    named = (header or "").split(";", 1)[0].strip().lower()
    return ALIASES.get(named, named)


def matches(media: str, pattern: str) -> bool:
    """Tell whether ``media`` falls under ``pattern``, where ``*/*`` and ``image/*`` are wild.

    ``image/*`` is itself sent as a content type by existing clients, so it matches as well.
    """
    if pattern in ("*/*", media):
        return True
    kind, _, subtype = pattern.partition("/")
    return subtype == "*" and media.split("/", 1)[0] == kind


@lru_cache(maxsize=64)
def negotiate(accept: str | None, produces: tuple[str, ...]) -> str:
    """Choose the type to answer in; at equal weight the model's own order decides.

    Raises:
        NotAcceptable: lists the types this model can answer in.
    """
    ranges = _ranges(accept)
    if not ranges:
        return produces[0]
    weights = [_weight(media, ranges) for media in produces]
    best = max(weights)
    if best <= 0:
        raise NotAcceptable(
            f"cannot answer in '{(accept or '')[:200]}'; expected one of {', '.join(produces)}"
        )
    return produces[weights.index(best)]


def _ranges(accept: str | None) -> list[tuple[str, float]]:
    ranges = []
    for part in (accept or "").split(",", MAX_RANGES)[:MAX_RANGES]:
        message = Message()
        message["content-type"] = part.strip()
        pattern = media_type(part)
        if pattern:
            ranges.append(("*/*" if pattern == "*" else pattern, _quality(message.get_param("q"))))
    return ranges


def _quality(text: object) -> float:
    """Read a q-value; one that cannot be read counts as 1, as an absent one does."""
    try:
        return min(max(float(str(text)), 0.0), 1.0)
    except ValueError:
        return 1.0


def _weight(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the q-value of the most specific range that ``media`` falls under, else 0."""
    fitting = [(_precision(pattern), q) for pattern, q in ranges if matches(media, pattern)]
    return max(fitting)[1] if fitting else 0.0


def _precision(pattern: str) -> int:
    if pattern == "*/*":
        return 0
    return 1 if pattern.endswith("/*") else 2
