"""Start TorchServe, wait until every model has answered its example, stop it cleanly."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from marquee import processes
from marquee.archives import listing, trust
from marquee.errors import MarqueeError
from marquee.interrupts import until
from marquee.project import Project
from marquee.properties import for_launcher
from marquee.torchserve import java
from marquee.torchserve.lastwords import last_words, not_registered
from marquee.torchserve.loaded import ModelId, archives, defaults, load_list, models
from marquee.torchserve.loads import LogMarks, check_failed
from marquee.torchserve.management import Management

SERVER_CLASS = "org.pytorch.serve.ModelServer"
POLL_SECONDS = 0.2
# For each step of the start. The server answers nobody before it has unpacked all archives, which
# takes minutes for gigabytes on a slow disk; one that has ended is noticed at once.
LOAD_SECONDS = 600
STOP_SECONDS = 15
# torchserve --stop --foreground looks for the end this often, and then removes the pid file.
WANTED_SECONDS = 2
# How PyTorch's threads (OpenMP) wait for one another, by GNU's names and Intel's. By default they
# spin, and take the core from whoever else has work to do. It is read when the library is loaded,
# before any code of an archive runs: only who starts TorchServe can say it.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
WAITING = {*PASSIVE, "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}


@dataclass(frozen=True)
class Server:
    """A running TorchServe of a project.

    Attributes:
        process: Java's.
        since: where its logs began.
        printed: where its logs can be read, where the reader of a message has not their files.
    """

    project: Project
    process: psutil.Process
    since: LogMarks
    printed: str = ""

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
            self._wait(api.answers, "does not answer")
            for name, version in wanted:
                self._wait_model(api, name, version)
                progress((name, version))
            for name, version in defaults(self.project).items():
                api.set_default(name, version)

    def _wait_model(self, api: Management, name: str, version: str) -> None:
        def ready() -> bool:
            described = api.describe(name, version)
            if described is None:
                raise self._not_registered(name, version)
            check_failed(
                self.project, name, version, self.since, forgiven=1, log=self.printed or None
            )
            return described.ready

        self._wait(ready, f"has not loaded {name} {version}")

    def _not_registered(self, name: str, version: str) -> MarqueeError:
        archives = {
            (one.manifest.name, one.manifest.version): one.path.name
            for one in listing.scan(self.project.model_store).archives
        }
        cause = not_registered(self.project, archives.get((name, version), name))
        return MarqueeError(
            f"{name} {version} does not load: TorchServe has not taken its archive: "
            f"{cause or 'its log does not say why'}; the whole story is in "
            f"{self.printed or self.project.logs / 'model_log.log'}"
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            if condition():
                return True
            if not self.alive:
                raise MarqueeError(f"TorchServe ended while starting: {last_words(self.project)}")
            return False

        if not until(holds, LOAD_SECONDS, POLL_SECONDS):
            raise MarqueeError(
                f"TorchServe {what} after {LOAD_SECONDS} s; see {self.printed or self.project.logs}"
            )

    @property
    def end_is_wanted(self) -> bool:
        """Whether somebody has stopped it: whoever does takes its pid file away, then or after."""
        path = pid_file(self.project)
        until(lambda: self.alive or not path.exists(), WANTED_SECONDS, POLL_SECONDS)
        return not path.exists()


def start(
    project: Project,
    extra: Mapping[str, str] | None = None,
    console: AbstractContextManager[IO[str]] | None = None,
) -> Server:
    """Start TorchServe by its own launcher, in a session of its own.

    Call :func:`marquee.torchserve.preflight.check` first; it says in words what would go wrong
    here.

    Args:
        extra: variables for this start alone.
        console: takes what the server prints, where that is not ``logs/console.log``.
    """
    listed = load_list(project)
    given = {**project.environ, **variables(project)}
    if listed:  # it wins over the command line, where variables are heeded at all
        given["TS_LOAD_MODELS"] = listed
    given |= extra or {}
    clean_temp(project)
    given["TS_MODEL_STORE"] = store = str(_trusted_store(project))
    given["TS_CONFIG_FILE"] = str(for_launcher(project.config_file.resolve(), project.temp))
    project.logs.mkdir(parents=True, exist_ok=True)
    (project.logs / "model_log.log").unlink(missing_ok=True)
    since = LogMarks.now(project)
    command = [sys.executable, "-m", "ts.model_server", "--start", "--ncs"]
    # The launcher looks for the pid file in Python's temporary folder, TMPDIR.
    given["TMPDIR"] = str(project.temp)
    # Its own session: Ctrl-C in the terminal reaches us alone, and we stop it in order.
    console_log(project).unlink(missing_ok=True)
    # Appended to: `marquee serve` cuts it when it is long.
    with console or console_log(project).open("a") as printed:
        subprocess.run(
            [*command, "--model-store", store, *(["--models", listed] if listed else [])],
            env=given,
            cwd=project.root,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=True,
        )
    return Server(project, psutil.Process(int(pid_file(project).read_text())), since)


def _trusted_store(project: Project) -> Path:
    """Return the model store for TorchServe: one with what is trusted, where not everything is."""
    trust.admit_all(project, (path for _, path in archives(project)))
    return trust.store(project)


def variables(project: Project) -> dict[str, str]:
    """Return what plain ``torchserve`` commands of this project need; creates its TEMP folder."""
    return {
        "TS_CONFIG_FILE": str(project.config_file.resolve()),
        "JAVA_HOME": str(java.find_home()),
        "TEMP": str(project.make_temp()),
        "LOG_LOCATION": str(project.logs),
        "METRICS_LOCATION": str(project.logs),
        **({} if WAITING & project.environ.keys() else PASSIVE),
    }


def pid_file(project: Project) -> Path:
    """Return TorchServe's pid file: its launcher writes it to the temporary folder."""
    return project.temp / ".model_server.pid"


def running_pid(project: Project) -> int | None:
    """Return the process id of the project's running server, or None."""
    process = processes.of_pid_file(pid_file(project), SERVER_CLASS)
    return None if process is None else process.pid


def stop(project: Project) -> bool:
    """Stop the project's server, if one runs: ask, wait, then insist.

    Returns:
        Whether one was running.
    """
    pid = running_pid(project)
    if pid is not None:
        family = _terminate(pid)
        # As torchserve --stop does: whoever waits for the server sees that its end is wanted.
        pid_file(project).unlink(missing_ok=True)
        processes.end_all(family, STOP_SECONDS)
        project.key_file.unlink(missing_ok=True)
    clean_temp(project)
    shutil.rmtree(project.temp / "front", ignore_errors=True)
    return pid is not None


def wait_ended(pid: int) -> None:
    """Wait for the end of a server that somebody else may be stopping."""
    with suppress(psutil.NoSuchProcess):
        processes.wait_ended([psutil.Process(pid)], STOP_SECONDS)


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
    for folder in ("models", trust.FOLDER):
        shutil.rmtree(project.temp / folder, ignore_errors=True)
    for path in [*project.temp.glob(".ts.sock.*"), pid_file(project)]:
        path.unlink(missing_ok=True)


def console_log(project: Project) -> Path:
    """Return the file that has what the server prints: requests, warnings and errors."""
    return project.logs / "console.log"
