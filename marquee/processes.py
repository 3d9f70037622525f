"""Processes of other programs: run to their end, or found again by their id."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from marquee.errors import MarqueeError

POLL_SECONDS = 0.05


def running(pid: int) -> psutil.Process | None:
    """Return a process that runs; None where it has ended, a zombie included."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.Error:
        return None


def of_pid_file(path: Path, word: str) -> psutil.Process | None:
    """Return the running process whose id a file holds.

    Args:
        path: the file.
        word: what is in the process's command line: its id may be another program's by now.
    """
    try:
        process = running(int(path.read_text()))
        return process if process is not None and word in process.cmdline() else None
    except (FileNotFoundError, ValueError, psutil.Error):
        return None


def end(process: psutil.Process, seconds: float) -> None:
    """Ask a process to end; kill what is left of it and its children after so many seconds."""
    family = [process, *process.children(recursive=True)]
    process.terminate()
    end_all(family, seconds)


def end_all(family: Sequence[psutil.Process], seconds: float) -> None:
    """Wait for processes that were told to end; kill what is left of them after so many seconds."""
    for one in wait_ended(family, seconds):
        with suppress(psutil.NoSuchProcess):  # it has ended just now
            one.kill()
    wait_ended(family, seconds)


def wait_ended(family: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until processes have ended, zombies included; return those that still run after that.

    psutil waits for the parent to take notice, too: of an orphan that is the system's first
    process, and some look only every second or two. A signal does not end the waiting, as it does
    that of ``interrupts.until``: what is being stopped is stopped.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = [one for one in family if running(one.pid) == one]
        if not left or time.monotonic() > deadline:
            psutil.wait_procs(family, timeout=0)  # takes notice of our own children
            return left
        time.sleep(POLL_SECONDS)


def run(
    command: Sequence[str | Path],
    failure: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command to its end, and return what it printed.

    Raises:
        MarqueeError: ``failure``, and the last line on stderr: of a Python traceback, the error.
    """
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"its process ended with {done.returncode}"
        raise MarqueeError(f"{failure}: {said.splitlines()[-1]}")
    return done.stdout
