"""Who changed what on the server, and how it went: a line of JSON a change."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from marquee import state
from marquee.project import Project

FILE = "history.jsonl"
DONE = "done"
FORWARD = ("swap", "canary promote")


def append(project: Project, record: Mapping[str, Any]) -> dict[str, Any]:
    """Add a record with who and when to the project's history; return it as it was written.

    A record has at least ``model``, ``action`` and ``outcome`` (``done``, or what else).
    """
    whole = {"when": now(), "who": who(), **record}
    path = state.folder(project) / FILE
    # One write in append mode: records of commands that run side by side do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (json.dumps(whole) + "\n").encode())
    finally:
        os.close(descriptor)
    return whole


def read(project: Project, model: str | None = None) -> list[dict[str, Any]]:
    """Return the records of a model (of all models: None), the oldest first.

    A line that a full disk cut short is left out.
    """
    path = project.state / FILE
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    records = [record for line in lines if (record := _parsed(line)) is not None]
    return [record for record in records if model is None or record.get("model") == model]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def version_before(project: Project, model: str, version: str) -> str | None:
    """Return the version that was replaced when ``version`` last became the default, if known."""
    for record in reversed(read(project, model)):
        forward = record.get("outcome") == DONE and record.get("action") in FORWARD
        if forward and record.get("to") == version and record.get("from"):
            return str(record["from"])
    return None


def workers_before(project: Project, model: str, version: str) -> int | None:
    """Return how many workers a version had when it was last taken out of service."""
    for record in reversed(read(project, model)):
        if record.get("from") == version and record.get("from_workers"):
            return int(record["from_workers"])
    return None


def now() -> str:
    """Return the time in UTC, as ISO 8601 has it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def who() -> str:
    """Return user and host; the user who called sudo, not root."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"  # a container's user without a name
    return f"{user}@{socket.gethostname()}"
