"""JPEG files that lack their end marker, and ones that have too many scans (ITU-T T.81, B.1)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from handlers.runtime.errors import TooLarge

SIGNATURE = b"\xff\xd8\xff"
END = b"\xff\xd9"
SCAN = b"\xff\xda"
# Two ways to go on where pixels are missing: they are all there if both give one picture.
# The bits differ from the first on, also from the zeros that a decoder puts after an end marker.
FILLERS = (END, b"\xb5\x5a\x6d\x93" * 512 + END)
# Progressive files have about ten; each goes over all pixels, however few bytes it has.
MAX_SCANS = 100

# Within a scan FF is followed by 00 or a restart marker.
AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# Markers without a length (table B.1): TEM, and restarts outside of scans.
BARE = (0x01, *range(0xD0, 0xD8))
# Stands for a marker before what is no segment.
REST = -1
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = (0xC2, 0xCA)


def check_scans(data: bytes) -> None:
    """Refuse a file of more than ``MAX_SCANS`` scans; other files are left alone.

    Raises:
        TooLarge: says how many there are.
    """
    count = _scans(data) if data.startswith(SIGNATURE) else 0
    if count > MAX_SCANS:
        raise TooLarge(
            f"the JPEG has {count} scans, at most {MAX_SCANS} are decoded; save it again"
        )


def _scans(data: bytes) -> int:
    """Count the scans up to the end marker; phones put a film of any bytes behind it.

    Where the segments end in something else, all that could be one counts: decoders search on.
    """
    return sum(
        segment.count(SCAN) if marker == REST else marker == SCAN[1]
        for marker, segment in _segments(data)
    )


def ended(data: bytes) -> tuple[bytes, bytes]:
    """Return the file with each of the two ``FILLERS``."""
    body = data.rstrip(b"\xff")
    return body + FILLERS[0], body + FILLERS[1]


def has_all_scans(data: bytes) -> bool:
    """Tell whether there is a scan for every component, and all of its bits if progressive."""
    frame: tuple[int, bytes] = (0, b"")
    # For each component, which of its 64 coefficients are known to the last bit.
    known: dict[int, set[int]] = defaultdict(set)
    for marker, segment in _segments(data):
        if marker in FRAMES and len(segment) >= 6:
            frame = marker, segment[6 : 6 + 3 * segment[5] : 3]
        elif marker == SCAN[1] and segment and len(segment) >= 4 + 2 * segment[0]:
            start, stop, shift = segment[1 + 2 * segment[0] : 4 + 2 * segment[0]]
            is_exact = frame[0] not in PROGRESSIVE or shift & 15 == 0
            found = range(start, stop + 1) if frame[0] in PROGRESSIVE else range(64)
            for component in segment[1 : 1 + 2 * segment[0] : 2]:
                known[component].update(found if is_exact else ())
    return bool(frame[1]) and all(len(known[component]) == 64 for component in frame[1])


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each marker with what belongs to it, up to the end marker, else ``REST``."""
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF and data[at + 1] != END[1]:
        marker = data[at + 1]
        if marker in (0xFF, *BARE):  # a fill byte is one byte, not two
            at += 1 if marker == 0xFF else 2
            continue
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : stop]
        if marker == SCAN[1]:
            following = AFTER_SCAN.search(data, stop)
            stop = following.start() if following else len(data)
        at = stop
    if data[at : at + 2] != END:
        yield REST, data[at:]
