"""Start HAProxy, and have it read its settings anew without dropping a connection."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack

from marquee.errors import MarqueeError
from marquee.files import write_private
from marquee.front import config, maps, program, runtime
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from marquee.interrupts import until

logger = logging.getLogger(__name__)

START_SECONDS = 10
POLL_SECONDS = 0.05
# Where it listens: a reload cannot move it.
ADDRESSES = ("inference_address", "management_address")


def start(settings: FrontSettings, log: Callable[[str], None]) -> subprocess.Popen[str]:
    """Start HAProxy from the configuration in the folder; return when it listens.

    Args:
        settings: of which the configuration was written.
        log: gets each line that it prints: requests as JSON, and its own messages.

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
        text=True,
        errors="replace",
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
        raise MarqueeError(f"the front door did not start: {program.complaint(lines)}")
    return process


def _read(process: subprocess.Popen[str], log: Callable[[str], None], lines: list[str]) -> None:
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    with process.stdout as printed:
        for line in printed:
            if len(lines) < 100:
                lines.append(line.rstrip())
            try:
                log(line.rstrip())
            except Exception:
                # HAProxy would wait for ever for somebody who reads on.
                logger.exception("a line of the front's log could not be dealt with: %s", line)


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
