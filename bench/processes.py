"""A server with all that it starts: frozen, woken, weighed, stopped as one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from typing import Any

import psutil

from bench.contenders.start import Start

STOP_SECONDS = 3
MARK = "BENCH_CONTENDER"


class Family:
    """The processes of one server.

    They are what inherited a mark in its environment, and what descends from those: launchers end
    and leave Java to the system, in a session of its own.
    """

    def __init__(self, start: Start) -> None:
        self._mark = uuid.uuid4().hex
        with (start.folder / "output.txt").open("w") as sink:
            self._first = subprocess.Popen(
                [str(word) for word in start.command],
                cwd=start.folder,
                env={**start.environment, MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def members(self) -> list[psutil.Process]:
        """Return the processes that live now."""
        everybody = list(psutil.process_iter(["ppid", "environ"]))
        found = {
            one.pid: one for one in everybody if (one.info["environ"] or {}).get(MARK) == self._mark
        }
        more = True
        while more:
            children = [one for one in everybody if one.info["ppid"] in found]
            more = any(one.pid not in found for one in children)
            found |= {one.pid: one for one in children}
        return list(found.values())

    @property
    def alive(self) -> bool:
        """Whether anything of it still runs."""
        self._first.poll()
        return any(_quietly(_runs, one) for one in self.members())

    def freeze(self) -> None:
        """Stop them in their tracks, those that may start others first."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """Return what those that live now have used so far."""
        times = (_quietly(psutil.Process.cpu_times, one) for one in self.members())
        return float(sum(each.user + each.system for each in times if each is not None))

    def resident_mb(self) -> float:
        """Return their memory; what several share counts once."""
        full = (_quietly(psutil.Process.memory_full_info, one) for one in self.members())
        return float(sum(each.pss for each in full if each is not None)) / 2**20

    def ask_to_stop(self) -> None:
        """Press Ctrl-C, and return at once."""
        self.wake()
        if self._first.poll() is None:
            os.killpg(self._first.pid, signal.SIGINT)

    def stop(self) -> None:
        """End them as Ctrl-C would, and those that stay by force."""
        members = self.members()
        self.ask_to_stop()
        _, left = psutil.wait_procs(members, timeout=STOP_SECONDS)
        for one in [*left, *self.members()]:
            _quietly(psutil.Process.kill, one)
        self._first.wait()

    def _signal(self, number: int) -> None:
        for one in self.members():
            _quietly(one.send_signal, number)


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Ask until it is true; False when the time is over."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _runs(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE


def _quietly(call: Callable[..., Any], *words: Any) -> Any:
    """Call, with None for a process that has ended meanwhile."""
    try:
        return call(*words)
    except psutil.Error:
        return None
