"""Which workers failed to load, and why.

Whether one has failed is TorchServe's to say, in its own log: the states its workers go through.
What a model writes says only why: models log tracebacks of exceptions that they caught.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from marquee.project import Project
from marquee.torchserve import tracebacks
from marquee.torchserve.wanting import hint

# "... WorkerThread - W-9000-cifar_2.0 State change WORKER_STARTED -> WORKER_STOPPED"
STATE = re.compile(
    r" - W-(?P<worker>\d+)-(?P<label>.+) State change (?P<before>\w+) -> (?P<after>\w+)$"
)
# The one line that there is where another log configuration leaves the states out.
LOAD_FAILED = re.compile(r" W-(?P<worker>\d+)-(?P<label>.+) org\.\S+ - Load model failed: ")
STOPPED, NO_FAILURES = "WORKER_STOPPED", ("WORKER_MODEL_LOADED", "WORKER_SCALED_DOWN")
# Java's reason where a worker does not answer in time, or does not start.
EXCEPTION = re.compile(r"(?:[\w$]+\.)+WorkerInitializationException: (.*)")
# 2026-11-21T22:59:13,123 INFO  W-9000-cifar_2.0-stdout text: what a worker prints.
SAID = re.compile(r"\S+ \w+ +W-(?P<worker>\d+)-(?P<label>.+?)-(?P<stream>stdout|stderr) ?(.*)")
# The first that a worker process says.
PROCESS_STARTS = "s_name_part0="
# The traceback reaches its log after the server has noticed the worker's end: on a busy machine a
# good while after.
TRACEBACK_SECONDS = 3.0
POLL_SECONDS = 0.2
# Of one log; its lines take some times that in memory.
MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class LogMarks:
    """How long the logs were at some moment, in bytes: what came before is of earlier loads."""

    model: int
    server: int

    @classmethod
    def now(cls, project: Project) -> LogMarks:
        """Return the lengths as they are."""
        sizes = (
            path.stat().st_size if (path := project.logs / name).is_file() else 0
            for name in ("model_log.log", "ts_log.log")
        )
        return cls(*sizes)


@dataclass(frozen=True)
class LoadFailure:
    """Why a worker failed to load; ``traced`` when its own traceback is what says so."""

    cause: str
    traced: bool


@dataclass(frozen=True)
class _Said:
    """What a worker process wrote, line by line."""

    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)


def failed_loads(project: Project, name: str, version: str, since: LogMarks) -> list[str]:
    """Return the ids of the workers of a version that failed to load since then, one a failure."""
    return _failed(lines_of(project.logs / "ts_log.log", since.server), f"{name}_{version}")


def _failed(lines: list[str], label: str) -> list[str]:
    changes = _about(STATE, lines, label)
    if not changes:
        return [found["worker"] for found in _about(LOAD_FAILED, lines, label)]
    return [
        found["worker"]
        for found in changes
        if found["after"] == STOPPED and found["before"] not in NO_FAILURES
    ]


def _about(pattern: re.Pattern[str], lines: list[str], label: str) -> list[re.Match[str]]:
    found = (pattern.search(line) for line in lines if label in line)
    return [one for one in found if one and one["label"] == label]


def load_failure(project: Project, name: str, version: str, since: LogMarks) -> LoadFailure | None:
    """Return why a worker of a version failed to load since then; None if none has failed."""
    label = f"{name}_{version}"
    told = lines_of(project.logs / "ts_log.log", since.server)
    failed = _failed(told, label)
    if not failed:
        return None
    own = _processes(project, label, since)
    ended = [
        _nth(own.get(worker, []), failed[: i + 1].count(worker)) for i, worker in enumerate(failed)
    ]
    # TorchServe cuts the last words of some processes off: those of an earlier one then tell.
    causes = (tracebacks.failure(said.stdout) for said in reversed(ended))
    cause = next((one for one in causes if one), None)
    if cause:
        return LoadFailure(cause + hint(project, name, version, cause), traced=True)
    return LoadFailure(_untraced(told, failed[-1], label, ended[-1].stderr), traced=False)


def why(
    project: Project,
    name: str,
    version: str,
    since: LogMarks,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Return why a worker that has failed did so; waits for a traceback that is written late."""
    deadline = time.monotonic() + TRACEBACK_SECONDS
    failure = load_failure(project, name, version, since)
    while (failure is None or not failure.traced) and time.monotonic() < deadline:
        pause(POLL_SECONDS)
        failure = load_failure(project, name, version, since) or failure
    return failure.cause if failure else "its worker ended; the logs do not say why"


def _processes(project: Project, label: str, since: LogMarks) -> dict[str, list[_Said]]:
    """Return by worker what each of its processes wrote.

    A worker that failed is started again under the same id: what the next process says in the
    meantime is not of the failure. The first of each list is of a process whose start is not in
    the log: one that ran before, or one that ended before it could say anything.
    """
    found: dict[str, list[_Said]] = {}
    for line in lines_of(project.logs / "model_log.log", since.model):
        said = SAID.fullmatch(line) if label in line else None
        if said is None or said["label"] != label:
            continue
        processes = found.setdefault(said["worker"], [_Said()])
        if said[4].startswith(PROCESS_STARTS):
            processes.append(_Said())
        getattr(processes[-1], said["stream"]).append(said[4])
    return found


def _nth(processes: list[_Said], number: int) -> _Said:
    """Return the process that was a worker's ``number``-th to fail, as far as the log has it."""
    return processes[min(number, len(processes) - 1)] if processes else _Said()


def _untraced(told: list[str], worker: str, label: str, stderr: list[str]) -> str:
    """Return what is known of a failure that left no traceback."""
    reason = _java_reason(told, f" W-{worker}-{label} ")
    ended = (
        f"TorchServe says of its worker: {reason.rstrip('.')}"
        if reason
        else "its worker died and left no traceback: it exited, or was killed, perhaps for lack of "
        "memory"
    )
    last = next((line.strip() for line in reversed(stderr) if line.strip()), "")
    return ended + (f"; the last it wrote to stderr is: {last[:300]}" if last else "")


def _java_reason(told: list[str], thread: str) -> str:
    """Return the last exception of Java's that follows a line of a worker's thread."""
    inside, reason = False, ""
    for line in told:
        if re.match(r"\d{4}-\d\d-\d\dT", line):
            inside = thread in line
        elif inside and (found := EXCEPTION.match(line)):
            reason = found[1]
    return reason


def lines_of(path: Path, since: int = 0) -> list[str]:
    """Return a log's lines from a byte on; from its start if it was cut since.

    Of more than ``MAX_BYTES`` only the last are read: a model may write without end.
    """
    if not path.is_file():
        return []
    size = path.stat().st_size
    with path.open("rb") as log:
        log.seek(max(since if since <= size else 0, size - MAX_BYTES))
        return log.read(MAX_BYTES).decode(errors="replace").split("\n")
