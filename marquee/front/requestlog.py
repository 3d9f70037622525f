"""What the door's log tells of one request, by the id of its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marquee.torchserve.loglines import read_lines

FILE = "front.log"


def entries(logs: Path, wanted: str) -> list[Mapping[str, Any]]:
    """Return the door's entries of a request, HAProxy's or a Ray server's; rotated files aside.

    Args:
        logs: the folder; without a door it has no such log.
        wanted: the answer's ``x-request-id``, which the door or who is behind it has given.
    """
    found: list[Mapping[str, Any]] = []
    for line in read_lines(logs / FILE):
        entry = _parsed(line) if wanted in line else {}
        if wanted in (entry.get("id"), entry.get("server_id")):
            found.append(entry)
    return found


def _parsed(line: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}  # HAProxy's own messages
    return entry if isinstance(entry, dict) else {}
