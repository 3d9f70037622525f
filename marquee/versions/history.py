"""Who changed what on the server, in which steps, and how it went: a line of JSON a change."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TypedDict, cast

from marquee import state
from marquee.project import Project

FILE = "history.jsonl"
DONE = "done"
PROMOTION = "canary promote"
FORWARD = ("swap", PROMOTION)


class Step(TypedDict):
    """A step: its name, the Unix time of its start, how long it took, and what came of it."""

    step: str
    at: float
    seconds: float
    said: str


Record = TypedDict(
    "Record",
    {
        "when": str,  # UTC, ISO 8601
        "who": str,  # user@host
        "model": str,
        "action": str,  # as the command is called
        "outcome": str,  # DONE, or what else
        "reason": str,
        "from": str,
        "from_workers": int,
        "to": str,
        "workers": int,
        "workers_before": int,
        "share": float,  # of a canary
        "archive": str,
        "digest": str,
        "registered": bool,  # whether this change registered the version
        "stopped_at": str,  # the step that failed
        "golden": int,  # how many requests were answered as expected
        "latency_ms": dict[str, "float | None"],  # old, new
        "traffic": dict[str, dict[str, float]],  # before, after
        "steps": list[Step],
    },
    total=False,
)


StepListener = Callable[[Step], None]


def silent(_step: Step) -> None:
    """Tell nobody."""


class Steps:
    """The steps of a change, in order: told as they end, and kept for its record.

    Attributes:
        done: those that ended well.
        current: the name of the one that runs, or of the last one.
    """

    def __init__(self, listener: StepListener = silent) -> None:
        self._listener = listener
        self.done: list[Step] = []
        self.current = "start"

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run a step; the block fills in ``said``. One that fails is not among those done."""
        step: Step = {"step": name, "at": round(time.time(), 3), "seconds": 0.0, "said": ""}
        self.current = name
        start = time.perf_counter()
        yield step
        step["seconds"] = round(time.perf_counter() - start, 3)
        self.done.append(step)
        self._listener(step)


def append(project: Project, record: Record) -> Record:
    """Add a record with who and when to the project's history; return it as it was written.

    A record has at least ``model``, ``action`` and ``outcome``.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    whole: Record = {"when": now, "who": who(), **record}
    path = state.folder(project) / FILE
    # One write in append mode: records of commands that run side by side do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (json.dumps(whole) + "\n").encode())
    finally:
        os.close(descriptor)
    return whole


def read(project: Project, model: str | None = None) -> list[Record]:
    """Return the records of a model (of all models: None), the oldest first.

    A line that a full disk cut short is left out.
    """
    path = project.state / FILE
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    records = [record for line in lines if (record := _parsed(line)) is not None]
    return [record for record in records if model is None or record.get("model") == model]


def _parsed(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return cast("Record", record) if isinstance(record, dict) else None


def version_before(project: Project, model: str, version: str) -> str | None:
    """Return the version that was replaced when ``version`` last became the default, if known."""
    for record in reversed(read(project, model)):
        forward = record.get("outcome") == DONE and record.get("action") in FORWARD
        if forward and record.get("to") == version and record.get("from"):
            return record["from"]
    return None


def workers_before(project: Project, model: str, version: str) -> int | None:
    """Return how many workers a version had when it was last taken out of service."""
    found = (one for one in reversed(read(project, model)) if one.get("from") == version)
    return next(filter(None, (one.get("from_workers") for one in found)), None)


def who() -> str:
    """Return user and host; the user who called sudo, not root."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"  # a container's user without a name
    return f"{user}@{socket.gethostname()}"
