"""One HAProxy: start it, reload it without dropping a connection, drain it, stop it."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from marquee.errors import MarqueeError
from marquee.front import config, program, runtime
from marquee.front.settings import FrontSettings

logger = logging.getLogger(__name__)

START_SECONDS = 10
STOP_SECONDS = 5
POLL_SECONDS = 0.05
# A request that passed the gate just before it was closed shows up a moment later.
QUIET_POLLS = 4
PLACE_FILE = "place.json"
PLACE = ("inference", "management")


class Haproxy:
    """A HAProxy in a folder, in this process or elsewhere.

    Args:
        folder: the front's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def admin(self) -> Path:
        """The runtime socket of the working process."""
        return self.folder / "admin.sock"

    @property
    def master(self) -> Path:
        """The runtime socket of the process that starts and replaces the working one."""
        return self.folder / "master.sock"

    @property
    def pid_file(self) -> Path:
        """Where the master's process id is."""
        return self.folder / "haproxy.pid"

    def map(self, name: str) -> runtime.RuntimeMap:
        """Return one of its maps."""
        return runtime.RuntimeMap(self.admin, self.folder / name)

    def process(self) -> psutil.Process | None:
        """Return the master's process, or None if it does not run."""
        try:
            found = psutil.Process(int(self.pid_file.read_text()))
            alive = found.status() != psutil.STATUS_ZOMBIE
            ours = str(self.folder / config.CONFIG) in found.cmdline()
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return found if alive and ours else None

    def reload(self, settings: FrontSettings) -> None:
        """Write the configuration again, and hand over to a new process that reads it.

        The old process answers what it has taken, and takes nothing new.

        Raises:
            MarqueeError: the settings are not usable (the old ones stay), or it does not come up.
        """
        check_same_place(self.folder, settings)
        # What is told meanwhile would be told to the old process alone.
        with ExitStack() as held:
            state = held.enter_context(self.map(config.STATE_MAP).locked())
            for name in (config.CANARY_MAP, config.NAMES_MAP, config.LOADED_MAP):
                held.enter_context(self.map(name).locked())
            self._rewrite(settings, state)
            remember_place(settings)
            before = runtime.worker_pids(self.master)
            runtime.command(self.master, "reload")
            _wait(lambda: self._replaced(before), "did not come up again after the reload")

    def _rewrite(self, settings: FrontSettings, state: dict[str, str]) -> None:
        """Write the configuration; leave the old one if HAProxy would refuse it."""
        previous = (self.folder / config.CONFIG).read_text()
        config.write(settings, state)
        try:
            check(self.folder)
        except MarqueeError:
            (self.folder / config.CONFIG).write_text(previous)
            raise

    def _replaced(self, before: list[int]) -> bool:
        try:
            now = runtime.worker_pids(self.master)
            return (
                bool(now)
                and now[0] not in before
                and bool(runtime.command(self.admin, "show info"))
            )
        except MarqueeError:
            return False  # the master starts itself anew, too

    def drain(
        self,
        seconds: float,
        told: Callable[[int], None] = lambda _: None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> int:
        """Answer 503 from now on, and wait for the requests in flight.

        Args:
            seconds: how long at most.
            told: called with their number whenever it changes.
            hurried: whether to wait no longer.

        Returns:
            How many are left unanswered.
        """
        self.map(config.STATE_MAP).set({"draining": "1"})
        deadline = time.monotonic() + seconds
        quiet, last = 0, 0
        while quiet < QUIET_POLLS and time.monotonic() < deadline and not hurried():
            count = runtime.in_flight(self.master)
            quiet = 0 if count else quiet + 1
            if count and count != last:
                told(count)
            last = count
            time.sleep(POLL_SECONDS)
        return last

    @property
    def closing(self) -> bool:
        """Whether somebody has told it to drain, and not to be started again."""
        return config.read_map(self.folder / config.STATE_MAP).get("draining") == "1"

    def close(
        self,
        told: Callable[[int], None] = lambda _: None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> int:
        """Drain it for as long as its settings say, and stop it; return how many were cut off."""
        if self.process() is None:
            return 0
        seconds = json.loads((self.folder / PLACE_FILE).read_text())["drain_timeout"]
        try:
            return self.drain(seconds, told, hurried)
        except MarqueeError:
            return 0  # it died meanwhile, and with it whatever it had in its hands
        finally:
            self.stop()

    def stop(self) -> bool:
        """End it at once: drain first. Returns whether it was running."""
        found = self.process()
        if found is None:
            return False
        family = [found, *found.children(recursive=True)]
        found.terminate()
        _, left = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)
        self.pid_file.unlink(missing_ok=True)
        return True


def start(settings: FrontSettings, log: Callable[[str], None]) -> subprocess.Popen[str]:
    """Start HAProxy from the configuration in the folder; return when it listens.

    Args:
        settings: of which the configuration was written.
        log: gets each line that it prints: requests as JSON, and its own messages.

    Raises:
        MarqueeError: with HAProxy's own words.
    """
    door = Haproxy(settings.folder)
    check(settings.folder)
    remember_place(settings)
    socket = f"{door.master},mode,600,level,admin"
    words = ["-W", "-f", str(door.folder / config.CONFIG), "-p", str(door.pid_file), "-S", socket]
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
        _wait(lambda: process.poll() is not None or _listens(door), "does not start")
    except MarqueeError:
        process.kill()
        raise
    if process.poll() is not None:
        raise MarqueeError(f"the front door did not start: {_complaint(lines)}")
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


def _listens(door: Haproxy) -> bool:
    try:
        return door.process() is not None and bool(runtime.command(door.admin, "show info"))
    except MarqueeError:
        return False


def check(folder: Path) -> None:
    """Let HAProxy check its configuration.

    Raises:
        MarqueeError: with HAProxy's own words.
    """
    done = subprocess.run(
        [program.find(), "-c", "-f", folder / config.CONFIG],
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    if done.returncode != 0:
        words = _complaint(done.stderr.splitlines())
        raise MarqueeError(f"HAProxy refuses the front's settings: {words}")


def _complaint(lines: list[str]) -> str:
    alerts = [line.partition(" : ")[2] for line in lines if line.startswith("[ALERT]")]
    return next(iter(alerts), "") or (lines[-1] if lines else "it said nothing")


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise MarqueeError(f"the front door {what} within {START_SECONDS} s")
        time.sleep(POLL_SECONDS)


def remember_place(settings: FrontSettings) -> None:
    """Write down where the door listens, for those that meet it running."""
    place = {name: getattr(settings, name) for name in (*PLACE, "drain_timeout")}
    (settings.folder / PLACE_FILE).write_text(json.dumps(place))


def check_same_place(folder: Path, settings: FrontSettings) -> None:
    """Refuse to move a running door: those who look for it would not find it.

    Raises:
        MarqueeError: an address has changed.
    """
    path = folder / PLACE_FILE
    place = json.loads(path.read_text()) if path.is_file() else {}
    for name in PLACE:
        if place.get(name) != getattr(settings, name):
            raise MarqueeError(
                f"the running front door has its {name} address at {place.get(name)}, the "
                f"configuration says {getattr(settings, name)}; restart the server to move it"
            )
