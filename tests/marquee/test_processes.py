"""Processes found, waited for and ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from marquee import processes

# A parent that takes no notice of its child's end, and the child.
HEEDLESS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@contextmanager
def heedless() -> Iterator[psutil.Process]:
    """Lend the child of a parent that never asks after it."""
    command = [sys.executable, "-c", HEEDLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            yield child
        finally:
            os.kill(child.pid, signal.SIGKILL)
            parent.kill()


def test_what_has_ended_is_not_waited_for_until_its_parent_looks() -> None:
    with heedless() as child:
        assert processes.wait_ended([child], 0) == [child]
        child.kill()
        assert processes.wait_ended([child], 60) == []
        assert child.status() == psutil.STATUS_ZOMBIE
        assert processes.running(child.pid) is None


def test_a_child_of_ours_is_taken_notice_of() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        assert processes.wait_ended([psutil.Process(child.pid)], 60) == []
        assert not psutil.pid_exists(child.pid)
