"""Which workers failed to load, and for what reason.

Whether one has failed is TorchServe's to say, in its own log: the states its workers go through.
What a model writes says only why: models log tracebacks of exceptions that they caught.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from marquee.archives import listing, reader, requirements
from marquee.errors import MarqueeError
from marquee.interrupts import until
from marquee.project import Project
from marquee.torchserve import tracebacks
from marquee.torchserve.loglines import output, read_lines, stamped, state_change
from marquee.torchserve.management import Management, Version

MODEL_LOG, SERVER_LOG = "model_log.log", "ts_log.log"
STOPPED, NO_FAILURES = "WORKER_STOPPED", ("WORKER_MODEL_LOADED", "WORKER_SCALED_DOWN")
# Java's reason where a worker does not answer in time, or does not start.
EXCEPTION = re.compile(r"(?:[\w$]+\.)+WorkerInitializationException: (.*)")
# The first that a worker process says.
PROCESS_STARTS = "s_name_part0="
# The traceback reaches its log after the server has noticed the worker's end: on a busy machine a
# good while after.
TRACEBACK_SECONDS = 3.0
POLL_SECONDS = 0.2
# A module that a model misses.
MISSING = re.compile(r"No module named '([\w.]+)'")


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
            for name in (MODEL_LOG, SERVER_LOG)
        )
        return cls(*sizes)


@dataclass(frozen=True)
class LoadFailure:
    """Why a worker failed to load; ``traced`` when its own traceback is what says so."""

    cause: str
    traced: bool


@dataclass(frozen=True)
class _Process:
    """What a worker process wrote, line by line."""

    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)


def failed_loads(project: Project, name: str, version: str, since: LogMarks) -> list[str]:
    """Return the ids of the workers of a version that failed to load since then, one a failure."""
    return _failed(read_lines(project.logs / SERVER_LOG, since.server), f"{name}_{version}")


def _failed(lines: list[str], label: str) -> list[str]:
    changes = (state_change(line) for line in lines if label in line)
    own = [change for change in changes if change and change.label == label]
    if not any(change.after for change in own):
        return [change.worker for change in own]
    return [
        change.worker
        for change in own
        if change.after == STOPPED and change.before not in NO_FAILURES
    ]


def load_failure(project: Project, name: str, version: str, since: LogMarks) -> LoadFailure | None:
    """Return why a worker of a version failed to load since then; None if none has failed."""
    label = f"{name}_{version}"
    server_log = read_lines(project.logs / SERVER_LOG, since.server)
    failed = _failed(server_log, label)
    if not failed:
        return None
    own = _processes(project, label, since)
    ended = [
        _nth(own.get(worker, []), failed[: i + 1].count(worker)) for i, worker in enumerate(failed)
    ]
    # TorchServe cuts the last words of some processes off: those of an earlier one then tell.
    causes = (tracebacks.failure(process.stdout) for process in reversed(ended))
    cause = next((one for one in causes if one), None)
    if cause:
        return LoadFailure(cause + hint(project, name, version, cause), traced=True)
    return LoadFailure(_untraced(server_log, failed[-1], label, ended[-1].stderr), traced=False)


def wait_loaded(
    project: Project, api: Management, name: str, version: str, *, since: LogMarks, seconds: float
) -> Version:
    """Return when all wanted workers of a version have loaded; a signal ends the waiting.

    Raises:
        MarqueeError: a worker failed to load, with the words of the traceback that ended it; or
            it took longer than ``seconds``.
    """

    def loaded() -> Version | None:
        described = api.describe(name, version)
        if described is None:
            raise MarqueeError(f"{name} {version} is not registered any more")
        if described.ready:
            return described
        if described.failure:
            raise does_not_load(project, name, version, described.failure)
        check_failed(project, name, version, since)
        return None

    described = until(loaded, seconds, POLL_SECONDS)
    if described is None:
        raise MarqueeError(
            f"{name} {version} has not loaded after {seconds:.0f} s; its worker's last words are "
            f"in {project.logs / 'model_log.log'}"
        )
    return described


def check_failed(
    project: Project,
    name: str,
    version: str,
    since: LogMarks,
    *,
    forgiven: int = 0,
    log: str | None = None,
) -> None:
    """Refuse a version of which more workers failed to load than are forgiven.

    TorchServe starts them again; a traceback that is written late is waited for.

    Args:
        log: where the whole story is, if not in the project's log of its models.

    Raises:
        MarqueeError: with the words of the traceback that ended the last of them.
    """
    if len(failed_loads(project, name, version, since)) <= forgiven:
        return

    def traced() -> LoadFailure | None:
        failure = load_failure(project, name, version, since)
        return failure if failure is not None and failure.traced else None

    failure = until(traced, TRACEBACK_SECONDS, POLL_SECONDS) or load_failure(
        project, name, version, since
    )
    cause = failure.cause if failure else "its worker ended; the logs do not say why"
    raise does_not_load(project, name, version, cause, log)


def does_not_load(
    project: Project, name: str, version: str, cause: str, log: str | None = None
) -> MarqueeError:
    """Return what is said of a version whose workers cannot load."""
    return MarqueeError(
        f"{name} {version} does not load: {cause}; the whole story is in "
        f"{log or project.logs / 'model_log.log'}"
    )


def _processes(project: Project, label: str, since: LogMarks) -> dict[str, list[_Process]]:
    """Return by worker what each of its processes wrote.

    A worker that failed is started again under the same id: what the next process says in the
    meantime is not of the failure. The first of each list is of a process whose start is not in
    the log: one that ran before, or one that ended before it could say anything.
    """
    by_worker: dict[str, list[_Process]] = {}
    for line in read_lines(project.logs / MODEL_LOG, since.model):
        head = stamped(line) if label in line else None
        written = output(head) if head else None
        if written is None or written.label != label:
            continue
        processes = by_worker.setdefault(written.worker, [_Process()])
        if written.text.startswith(PROCESS_STARTS):
            processes.append(_Process())
        getattr(processes[-1], written.stream).append(written.text)
    return by_worker


def _nth(processes: list[_Process], number: int) -> _Process:
    """Return the process that was a worker's ``number``-th to fail, as far as the log has it."""
    return processes[min(number, len(processes) - 1)] if processes else _Process()


def _untraced(server_log: list[str], worker: str, label: str, stderr: list[str]) -> str:
    """Return what is known of a failure that left no traceback."""
    reason = _java_reason(server_log, f" W-{worker}-{label} ")
    ended = (
        f"TorchServe says of its worker: {reason.rstrip('.')}"
        if reason
        else "its worker died and left no traceback: it exited, or was killed, perhaps for lack of "
        "memory"
    )
    last = next((line.strip() for line in reversed(stderr) if line.strip()), "")
    return ended + (f"; the last it wrote to stderr is: {last[:300]}" if last else "")


def _java_reason(server_log: list[str], thread: str) -> str:
    """Return the last exception of Java's that follows a line of a worker's thread."""
    inside, reason = False, ""
    for line in server_log:
        if stamped(line):
            inside = thread in line
        elif inside and (found := EXCEPTION.match(line)):
            reason = found[1]
    return reason


def hint(project: Project, name: str, version: str, cause: str) -> str:
    """Return what to add to a cause: that the archive asks for what is missing here.

    Empty where no module is missing, or everything that the archive asks for is here. A module's
    name need not be its package's, so all that is not here is named.
    """
    archive = _archive(project, name, version) if MISSING.search(cause) else None
    if archive is None:
        return ""
    own = archive.manifest.files.get("requirementsFile")
    for path in filter(None, (own, *requirements.LISTS)):
        wanted = _absent(archive.path, path)
        if wanted:
            return (
                f"; the archive's {path} asks for {', '.join(wanted)}, which is not here: install "
                "it into the environment of the server (of a container: into its image)"
            )
    return ""


def _archive(project: Project, name: str, version: str) -> listing.Archive | None:
    try:
        archives = listing.scan(project.model_store).archives
    except MarqueeError:
        return None  # the store cannot be read: told elsewhere
    found = (a for a in archives if (a.manifest.name, a.manifest.version) == (name, version))
    return next(found, None)


def _absent(archive: Path, path: str) -> list[str]:
    """Return the lines of one of the archive's files that ask for what is not here.

    None of a file that is not there or cannot be read: a hint must not be the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        try:
            listed.write_bytes(reader.read_file(archive, path))
            return [*requirements.missing(listed)]
        except (MarqueeError, KeyError, *reader.DAMAGE):
            return []
