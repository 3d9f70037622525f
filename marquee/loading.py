"""Wait for a version's workers to load, and keep them from taking the cores of those that serve."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from marquee import preflight
from marquee.errors import MarqueeError
from marquee.management import Management, Version
from marquee.project import Project
from marquee.server import LogMarks, load_failure

POLL_SECONDS = 0.2
# The traceback reaches its log a moment after the server has noticed the worker's end.
LOG_SECONDS = 0.3
LOW_PRIORITY = int(os.environ.get("TRY_NICE", "19"))
NORMAL_PRIORITY = 0
# On a machine with no idle time at all, low priority would mean never.
GENTLE_SECONDS = 20.0
CAP_SYS_NICE = 1 << 23


def wait_loaded(
    project: Project, api: Management, name: str, version: str, *, since: LogMarks, seconds: float
) -> Version:
    """Return when all wanted workers of a version have loaded, at low priority where possible.

    Raises:
        MarqueeError: a worker failed to load, with the first traceback's own words; or it took
            longer than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    with _Gently(project) as gently:
        while True:
            found = api.describe(name, version)
            if found is None:
                raise MarqueeError(f"{name} {version} is not registered any more")
            if found.ready:
                return found
            _check_failed(project, name, version, since)
            if time.monotonic() > deadline:
                raise MarqueeError(
                    f"{name} {version} has not loaded after {seconds:.0f} s; its worker's last "
                    f"words are in {project.logs / 'model_log.log'}"
                )
            gently.lower({str(w["id"]) for w in found.workers if w["status"] != "READY"})
            time.sleep(POLL_SECONDS)


def _check_failed(project: Project, name: str, version: str, since: LogMarks) -> None:
    if load_failure(project, name, version, since) is None:
        return
    time.sleep(LOG_SECONDS)
    raise MarqueeError(
        f"{name} {version} does not load: {load_failure(project, name, version, since)}; the "
        f"whole story is in {project.logs / 'model_log.log'}"
    )


class _Gently:
    """Lowers the priority of loading workers, and gives it back at the end.

    Importing torch and warming up takes a core for seconds; at low priority the workers that
    serve come first, for a while at least. Only where the priority can be given back: as root,
    with CAP_SYS_NICE, or with a limit (``ulimit -e``) that allows it.
    """

    def __init__(self, project: Project) -> None:
        self._server = preflight.running_pid(project)
        self._allowed = _may_raise_priority()
        self._lowered: list[psutil.Process] = []
        self._until = time.monotonic() + GENTLE_SECONDS

    def __enter__(self) -> _Gently:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        for process in self._lowered:
            _set_priority(process.pid, NORMAL_PRIORITY)
        self._lowered.clear()

    def lower(self, workers: set[str]) -> None:
        """Lower the priority of those workers' processes that have not been seen yet."""
        if not (workers and self._allowed and self._server):
            return
        if time.monotonic() > self._until:
            self._give_back()
            return
        for process in _loading(self._server, workers):
            if process not in self._lowered:
                self._lowered.append(process)
                _set_priority(process.pid, LOW_PRIORITY)


def _loading(server: int, workers: set[str]) -> Iterator[psutil.Process]:
    """Yield the processes of workers, known by the number at the end of their socket's name."""
    try:
        children = psutil.Process(server).children()
    except psutil.Error:
        return
    for child in children:
        with _gone_is_fine():
            words = child.cmdline()
            if any(word.rpartition(".")[2] in workers for word in words if ".ts.sock." in word):
                yield child


def _set_priority(pid: int, priority: int) -> None:
    """Set the priority of all threads of a process: on Linux each has its own."""
    tasks = Path(f"/proc/{pid}/task")
    with _gone_is_fine():
        for task in [path.name for path in tasks.iterdir()] if tasks.is_dir() else [str(pid)]:
            os.setpriority(os.PRIO_PROCESS, int(task), priority)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    """A process or thread that ends meanwhile needs no priority."""
    try:
        yield
    except (psutil.Error, ProcessLookupError, FileNotFoundError):
        return


def _may_raise_priority() -> bool:
    """Whether this process may undo a lowered priority."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return os.geteuid() == 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    if int(line.split()[1], 16) & CAP_SYS_NICE:
        return True
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return soft == resource.RLIM_INFINITY or soft >= 20 - NORMAL_PRIORITY
