"""Processes of other programs: found again by their id, and what one said at its end."""

from __future__ import annotations

from pathlib import Path

import psutil


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
    _, left = psutil.wait_procs(family, timeout=seconds)
    for one in left:
        one.kill()
    psutil.wait_procs(left, timeout=seconds)


def last_line(stderr: str) -> str:
    """Return the last line of what a process wrote, which of a Python traceback is the error."""
    return (stderr.strip() or "no message").splitlines()[-1]
