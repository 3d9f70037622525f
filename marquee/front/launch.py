"""Start HAProxy, and have it read its settings anew without dropping a connection."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

from marquee.errors import MarqueeError
from marquee.files import write_private
from marquee.front import config, maps, program, runtime
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from marquee.interrupts import until

logger = logging.getLogger(__name__)

START_SECONDS = 10
POLL_SECONDS = 0.05
# Lines gather for so long: to wake up for each one costs more than HAProxy's whole request. They
# need room meanwhile, and a door that fills more than a little of it is read without a pause.
GATHER_SECONDS, PIPE_BYTES, READ_BYTES = 0.1, 1 << 19, 1 << 16
# Of what it printed first, for the reason why it does not start.
KEPT_LINES = 100
# Where it listens: a reload cannot move it.
ADDRESSES = ("inference_address", "management_address")


def start(settings: FrontSettings, log: Callable[[list[str]], None]) -> subprocess.Popen[bytes]:
    """Start HAProxy from the configuration in the folder; return when it listens.

    Args:
        settings: of which the configuration was written.
        log: gets the lines that it prints, as they gather: requests as JSON, and its own messages.

    Raises:
        MarqueeError: with HAProxy's own words.
    """
    haproxy = Haproxy(settings.folder)
    program.check(haproxy.config)
    remember(settings)
    socket = f"{haproxy.master},mode,600,level,admin"
    words = ["-W", "-f", str(haproxy.config), "-p", str(haproxy.pid_file), "-S", socket]
    process = subprocess.Popen(
        [program.find(), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches us alone: we stop it in order
    )
    lines: list[str] = []
    threading.Thread(target=_read, args=(process, log, lines), name="front", daemon=True).start()
    try:
        _wait(lambda: process.poll() is not None or haproxy.listens(), "does not start")
    except BaseException:
        process.kill()
        raise
    if process.poll() is not None:
        until(lambda: all_read(process), START_SECONDS, POLL_SECONDS)
        raise MarqueeError(f"the front door did not start: {program.complaint(lines)}")
    return process


def _read(
    process: subprocess.Popen[bytes], log: Callable[[list[str]], None], first: list[str]
) -> None:
    """Pass on what it prints, and keep its first lines."""
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    with process.stdout as printed:
        # Not on every system, and for some users not so much.
        with suppress(AttributeError, OSError):
            fcntl.fcntl(printed, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        for lines in gathered(printed.fileno()):
            first += lines[: max(0, KEPT_LINES - len(first))]
            try:
                log(lines)
            except Exception:
                # Nobody else would read on, and HAProxy drops what finds no place in the pipe.
                logger.exception("lines of the front's log could not be dealt with: %s", lines)


def all_read(process: subprocess.Popen[bytes]) -> bool:
    """Whether all that it printed before it ended has been passed on."""
    return process.stdout is None or process.stdout.closed


def gathered(pipe: int) -> Iterator[list[str]]:
    """Yield the lines that come out of a pipe, those of a moment together."""
    rest = b""
    while chunk := os.read(pipe, READ_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            yield [line.decode(errors="replace") for line in whole]
        if len(chunk) < READ_BYTES:
            time.sleep(GATHER_SECONDS)
    if rest:
        yield [rest.decode(errors="replace")]


def reload(settings: FrontSettings) -> None:
    """Write the configuration again, and hand over to a new process that reads it.

    The old process answers what it has taken, and takes nothing new.

    Raises:
        MarqueeError: the settings are not usable (the old ones stay), or it does not come up.
    """
    haproxy = Haproxy(settings.folder)
    _check_addresses(haproxy, settings)
    # What changes in a map meanwhile would reach the old process alone.
    with ExitStack() as stack:
        state = stack.enter_context(haproxy.map(maps.STATE).locked())
        for name in (maps.CANARY, maps.NAMES, maps.LOADED):
            stack.enter_context(haproxy.map(name).locked())
        _rewrite(haproxy, settings, state)
        remember(settings)
        before = runtime.worker_pids(haproxy.master)
        runtime.command(haproxy.master, "reload")
        _wait(lambda: _is_replaced(haproxy, before), "did not come up again after the reload")


def _rewrite(haproxy: Haproxy, settings: FrontSettings, state: dict[str, str]) -> None:
    """Write the configuration; leave the old one if HAProxy would refuse it."""
    previous = haproxy.config.read_text()
    config.write(settings, state)
    try:
        program.check(haproxy.config)
    except MarqueeError:
        haproxy.config.write_text(previous)
        raise


def _is_replaced(haproxy: Haproxy, before: list[int]) -> bool:
    try:
        workers = runtime.worker_pids(haproxy.master)
    except MarqueeError:
        return False  # the master starts itself anew, too
    return bool(workers) and workers[0] not in before and runtime.answers(haproxy.admin)


def _wait(condition: Callable[[], bool], failure: str) -> None:
    if not until(condition, START_SECONDS, POLL_SECONDS):
        raise MarqueeError(f"the front door {failure} within {START_SECONDS} s")


def remember(settings: FrontSettings) -> None:
    """Write down what it is started with, for those that meet it running."""
    kept = {name: getattr(settings, name) for name in (*ADDRESSES, "drain_timeout")}
    write_private(Haproxy(settings.folder).started_with, json.dumps(kept))


def _check_addresses(haproxy: Haproxy, settings: FrontSettings) -> None:
    """Refuse to move a running door: those who look for it would not find it."""
    path = haproxy.started_with
    kept = json.loads(path.read_text()) if path.is_file() else {}
    for name in ADDRESSES:
        if kept.get(name) != getattr(settings, name):
            raise MarqueeError(
                f"the running front door has its {name} at {kept.get(name)}, the "
                f"configuration says {getattr(settings, name)}; restart the server to move it"
            )
