"""Start TorchServe, wait until every model has answered its example, stop it cleanly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from marquee import state
from marquee.archives import listing
from marquee.archives.rooms import default_version
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.serving import bodies, environment, preflight
from marquee.serving.management import Management

POLL_SECONDS = 0.2
# The JVM is up within seconds; this is for a machine under heavy load.
ANSWER_SECONDS = 60
LOAD_SECONDS = 600
STOP_SECONDS = 15
FAILED_LOADS = 2

ModelId = tuple[str, str]


@dataclass(frozen=True)
class Server:
    """A running TorchServe of a project."""

    project: Project
    process: psutil.Process

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return bool(self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE)

    def wait_ready(
        self,
        progress: Callable[[ModelId], None] = lambda _: None,
        management: Management | None = None,
    ) -> None:
        """Return when every version in the store has its workers, and the defaults are set.

        Args:
            progress: called for each that has.
            management: whom to ask, where it is not the project's management address.

        Raises:
            MarqueeError: the server ended, a model does not load, or it takes too long.
        """
        wanted = models(self.project)
        with management or Management.of(self.project) as api:
            self._wait(api.answers, ANSWER_SECONDS, "does not answer")
            for name, version in wanted:
                self._wait_model(api, name, version)
                progress((name, version))
            for name, version in defaults(self.project).items():
                api.set_default(name, version)

    def _wait_model(self, api: Management, name: str, version: str) -> None:
        def ready() -> bool:
            found = api.describe(name, version)
            if found is None or worker_failures(self.project, name, version) >= FAILED_LOADS:
                raise MarqueeError(
                    f"{name} {version} does not load: {first_cause(self.project, name, version)}; "
                    f"the whole story is in {self.project.logs / 'model_log.log'}"
                )
            return found.ready

        self._wait(ready, LOAD_SECONDS, f"has not loaded {name} {version}")

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.alive:
                raise MarqueeError(f"TorchServe ended while starting: {last_words(self.project)}")
            if time.monotonic() > deadline:
                raise MarqueeError(
                    f"TorchServe {what} after {seconds:.0f} s; see {self.project.logs}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End the server and its workers, and remove what it unpacked."""
        stop(self.project)


def start(
    project: Project,
    extra: Mapping[str, str] | None = None,
    console: AbstractContextManager[IO[str]] | None = None,
) -> Server:
    """Start TorchServe by its own launcher, in a session of its own.

    Call :func:`marquee.serving.preflight.check` first; it says in words what would go wrong here.

    Args:
        project: whose.
        extra: variables for this start alone.
        console: takes what the server prints, where that is not ``logs/console.log``.
    """
    variables = os.environ | variables_of(project) | dict(extra or {})
    clean_temp(project)
    project.logs.mkdir(parents=True, exist_ok=True)
    (project.logs / "model_log.log").unlink(missing_ok=True)  # what is read below is of this start
    command = [sys.executable, "-m", "ts.model_server", "--start", "--ncs"]
    store = ["--model-store", str(project.model_store)]
    listed = load_list(project)
    # The launcher looks for the pid file in Python's temporary folder, TMPDIR.
    variables["TMPDIR"] = str(project.temp)
    # Its own session: Ctrl-C in the terminal reaches us alone, and we stop it in order.
    with console or console_log(project).open("w") as printed:
        subprocess.run(
            [*command, *store, *(["--models", listed] if listed else [])],
            env=variables,
            cwd=project.root,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=True,
        )
    pid = int(preflight.pid_file(project).read_text())
    return Server(project, psutil.Process(pid))


def variables_of(project: Project) -> dict[str, str]:
    """Return the variables of a TorchServe of this project with what is in its store now."""
    listed = load_list(project)
    # It wins over the command line, where variables are heeded at all.
    loaded = {"TS_LOAD_MODELS": listed} if listed else {}
    return environment.variables(project) | bodies.variables(project) | loaded


def stop(project: Project) -> bool:
    """Stop the project's server, if one runs: ask, wait, then insist.

    Returns:
        Whether one was running.
    """
    pid = preflight.running_pid(project)
    if pid is not None:
        family = _terminate(pid)
        _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)
        project.key_file.unlink(missing_ok=True)
    clean_temp(project)
    shutil.rmtree(project.temp / "front", ignore_errors=True)
    return pid is not None


def _terminate(pid: int) -> list[psutil.Process]:
    """Ask a server to end; return it and its workers, none if it is gone by now."""
    try:
        server = psutil.Process(pid)
        family = [server, *server.children(recursive=True)]
        server.terminate()
    except psutil.NoSuchProcess:
        return []
    return family


def clean_temp(project: Project) -> None:
    """Remove what an earlier server left: unpacked archives, sockets, the pid file."""
    shutil.rmtree(project.temp / "models", ignore_errors=True)
    for path in [*project.temp.glob(".ts.sock.*"), preflight.pid_file(project)]:
        path.unlink(missing_ok=True)


def models(project: Project) -> list[ModelId]:
    """Return name and version of every archive that is loaded at start."""
    chosen = _chosen_files(project)
    return [
        ((chosen or {}).get(one.path.name) or one.manifest.name, one.manifest.version)
        for one in listing.scan(project.model_store).archives
        if chosen is None or one.path.name in chosen
    ]


def load_list(project: Project) -> str | None:
    """Return the archives to load in place of ``all``, for which TorchServe takes any folder.

    None where load_models names archives itself, or there are none.
    """
    if _chosen_files(project) is not None:
        return None
    archives = listing.scan(project.model_store).archives
    return ",".join(one.path.name for one in archives) or None


def _chosen_files(project: Project) -> dict[str, str] | None:
    """Return what load_models lists, file -> the name it gives or none; None for all."""
    text = project.properties.get("load_models", "all")
    if text.strip().lower() == "all":
        return None
    words = (word.strip().rpartition("=") for word in text.split(","))
    return {file: name for name, _, file in words if file}


def defaults(project: Project) -> dict[str, str]:
    """Return the version of each model that should answer when none is named.

    The operator's last choice (a swap or rollback); else the project's; for an archive without
    a room here, the highest version. TorchServe itself would take the one the folder happens to
    list first.
    """
    present: dict[str, list[str]] = {}
    for name, version in models(project):
        present.setdefault(name, []).append(version)
    kept = state.chosen_defaults(project)
    return {
        name: _chosen(found, [kept.get(name), default_version(project, name)])
        for name, found in present.items()
    }


def _chosen(present: list[str], wishes: list[str | None]) -> str:
    """Return the first wish that is present, else the highest version."""
    fitting = (wish for wish in wishes if wish in present)
    return next(fitting, None) or max(present, key=version_key)


def version_key(version: str) -> list[tuple[int, str]]:
    """Sort 10.0 after 9.0."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in version.split(".")]


def _model_log(project: Project, name: str, version: str, since: int = 0) -> Iterator[str]:
    marker = f"{name}_{version}-"
    yield from (line for line in _lines(project.logs / "model_log.log", since) if marker in line)


def _lines(path: Path, since: int) -> list[str]:
    """Return a log's lines from a byte on; from its start if it was cut since."""
    if not path.is_file():
        return []
    with path.open(errors="replace") as log:
        log.seek(since if since <= path.stat().st_size else 0)
        return log.read().splitlines()


def worker_failures(project: Project, name: str, version: str) -> int:
    """Count how often a worker of this version has failed to load since the start."""
    return sum(
        "Traceback (most recent call last)" in line for line in _model_log(project, name, version)
    )


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


def load_failure(project: Project, name: str, version: str, since: LogMarks) -> LoadFailure | None:
    """Return why a worker of a version failed to load since then; None if none has failed.

    A worker that raises says so itself; of one that is killed only the server tells.
    """
    own = [*_model_log(project, name, version, since.model)]
    told = _told(project, name, version, since, own)
    cause = _first_traceback(own) if told is not None else None
    if cause:
        return LoadFailure(cause, traced=True)
    return LoadFailure(told, traced=False) if told else None


def _told(project: Project, name: str, version: str, since: LogMarks, own: list[str]) -> str | None:
    """Return what the logs tell of a failure beside its traceback; None if there was none."""
    if any("Backend worker process died" in line for line in own):
        return "its worker ended; the log does not say why"
    words = "Load model failed: "
    for line in _lines(project.logs / "ts_log.log", since.server):
        if words in line and f"-{name}_{version} " in line:
            error = line.partition(words)[2].partition("error: ")[2].strip()
            return f"{error} It left no traceback: killed, perhaps for lack of memory"
    # A worker that raised MemoryError is started again and again without a word of the server.
    return "" if any(" cpu OOM, exc" in line for line in own) else None


def first_cause(project: Project, name: str, version: str) -> str:
    """Return the last line of the first traceback in the version's log."""
    said = _first_traceback(_model_log(project, name, version))
    return said or "its archive could not be registered; " + last_words(project)


def _first_traceback(lines: Iterable[str]) -> str | None:
    """Return the last line of the first traceback among a worker's lines."""
    inside = False
    for line in lines:
        inside = inside or "Traceback (most recent call last)" in line
        words = line.split(" ", 4)[-1]  # after time, level and the worker's name
        if inside and words and not words.startswith((" ", "Traceback")):
            return words.strip()
    return None


def last_words(project: Project) -> str:
    """Return the last line that the server itself wrote."""
    printed, own = console_log(project), project.logs / "ts_log.log"
    path = printed if printed.is_file() else own
    lines = path.read_text(errors="replace").strip().splitlines() if path.is_file() else []
    return lines[-1] if lines else f"nothing was written to {path}"


def console_log(project: Project) -> Path:
    """Return the file that has what the server prints: requests, warnings and errors."""
    return project.logs / "console.log"
