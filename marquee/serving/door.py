"""The front door: HAProxy opened, kept open, closed, and told how the models are."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.front import config, launch, maps, program
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings, read
from marquee.front.traffic import Traffic
from marquee.interrupts import until
from marquee.project import Project
from marquee.serving.beat import Beat, lively, ping_body
from marquee.serving.logfile import log_file
from marquee.serving.pages import Pages
from marquee.torchserve.inference import Inference
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.management import Management
from marquee.torchserve.readiness import Prober, Readiness, Timing
from marquee.torchserve.tokens import Keys
from marquee.versions.canary import TRAFFIC, Watcher

log = logging.getLogger(__name__)

KEYS_SECONDS = 60
LAST_LINES_SECONDS = 2
# A HAProxy that dies is started again, but not for ever.
RESTARTS, RESTART_SECONDS = 3, 60
# Ten years: TorchServe's keys must not change behind the door, which knows them by digest.
TOKEN_MINUTES = 10 * 365 * 24 * 60


class Keeper(Beat):
    """Asks the models and publishes their readiness; watches canaries where there are any."""

    def __init__(
        self, settings: FrontSettings, prober: Prober, traffic: Traffic, canaries: Watcher
    ) -> None:
        super().__init__()
        self._settings, self._haproxy = settings, Haproxy(settings.folder)
        self._prober, self._traffic, self._canaries = prober, traffic, canaries
        self._names: dict[str, str] = {}

    def beat(self) -> None:
        """Look at everything once.

        Raises:
            MarqueeError: the server or the door does not answer.
        """
        readiness = self._prober.check()
        self._publish(readiness)
        self._publish_names(readiness)
        sides = self._canaries.look(self._prober, self._traffic)
        with replacing(self._settings.folder / TRAFFIC) as part:
            part.write_text(json.dumps(sides))

    def _publish(self, readiness: Readiness) -> None:
        empty = self._settings.ready_when_empty and not readiness.models
        self._note(readiness, readiness.ready or empty)
        body = ping_body(readiness, self.ready) | dict(self._settings.ping_fields)
        self._haproxy.map(maps.STATE).set(maps.readiness(body, ready=self.ready))

    def _publish_names(self, readiness: Readiness) -> None:
        """Tell the door who answers /invocations that name nobody, and KServe which are ready."""
        reasons = {name: reason or "" for (name, _), reason in readiness.models.items()}
        sole = next(iter(reasons)) if len(reasons) == 1 else ""
        wanted = maps.names(self._settings.default_model or sole, reasons)
        if wanted != self._names:
            door = self._haproxy.map(maps.NAMES)
            door.set(wanted)
            for key in self._names.keys() - wanted.keys():
                door.remove(key)
            self._names = wanted


class Door:
    """HAProxy, and the thread that asks the models.

    Args:
        settings: None reads the project's own.
        log: gets lines of requests, several at once; None writes ``logs/front.log``.
        prober: the kind of prober that asks the models.

    Raises:
        MarqueeError: no HAProxy that will do, or impossible settings.
    """

    def __init__(
        self,
        project: Project,
        settings: FrontSettings | None = None,
        *,
        log: logging.Logger | None = None,
        prober: type[Prober] = Prober,
    ) -> None:
        self._project = project
        self.settings = settings or read(project)
        program.find()
        self.settings.api_key()
        self.haproxy = Haproxy(self.settings.folder)
        self._traffic = Traffic()
        self._log = log or log_file(project.logs / "front.log")
        self._process: subprocess.Popen[bytes] | None = None
        key_file = self.settings.key_file
        self._keys = None if key_file is None else Keys(key_file, "")
        self._keeper = self._make_keeper(prober)
        self._pages = Pages(
            self.management,
            self.settings.pages_socket,
            secured=key_file is not None and not self.settings.open_to_all,
            max_request_size=self.settings.max_request_size,
        )
        self._deaths: list[float] = []

    def prepare(self) -> dict[str, str]:
        """Make room, and return the variables that move TorchServe behind the door.

        Its own token check stays on: with it off, anybody on this machine could reach its gRPC
        ports, which no Unix socket can replace.
        """
        folder = self.settings.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        self._project.key_file.unlink(missing_ok=True)  # of a server that was killed
        return {
            "TS_INFERENCE_ADDRESS": f"unix:{self.settings.inference_socket}",
            "TS_MANAGEMENT_ADDRESS": f"unix:{self.settings.management_socket}",
            "TS_TOKEN_EXPIRATION_TIME_MIN": str(TOKEN_MINUTES),
        }

    def open(self, alive: Callable[[], bool]) -> None:
        """Listen; models may still be loading.

        Raises:
            MarqueeError: TorchServe wrote no keys, or HAProxy does not start.
        """
        path = self.settings.key_file
        if not until(lambda: path is None or _is_written(path) or not alive(), KEYS_SECONDS):
            raise MarqueeError(f"TorchServe has written no {path} after {KEYS_SECONDS} s")
        if not alive():
            raise MarqueeError(f"TorchServe ended while starting: {last_words(self._project)}")
        config.write(self.settings)
        self._process = launch.start(self.settings, self.take)
        self._keeper.start()
        self._pages.start()

    def management(self) -> Management:
        """Return a connection to TorchServe itself, behind the door."""
        return Management("http://torchserve", self._keys, self.settings.management_socket)

    def _make_keeper(self, prober: type[Prober]) -> Keeper:
        ask = Inference("http://torchserve", self._keys, self.settings.inference_socket).problem
        timing = Timing(self.settings.probe_interval, self.settings.probe_timeout)
        store = self._project.model_store
        asking = prober(
            self.management(), ask, store, timing, partial(lively, self._project, self._traffic)
        )
        return Keeper(self.settings, asking, self._traffic, Watcher(self._project))

    def wait_ready(self) -> None:
        """Return when every model has answered its example; see :meth:`Beat.wait_ready`."""
        self._keeper.wait_ready()

    def check(self) -> bool:
        """Start HAProxy again if it has died; return False if somebody has closed it meanwhile.

        Raises:
            MarqueeError: it dies again and again.
        """
        if self._process is None or self._process.poll() is None:
            return True
        if self.haproxy.closing:
            return False
        now = time.monotonic()
        self._deaths = [one for one in self._deaths if now - one < RESTART_SECONDS] + [now]
        if len(self._deaths) > RESTARTS:
            raise MarqueeError(
                f"the front door ended {len(self._deaths)} times within {RESTART_SECONDS} s; its "
                f"last words are in {self._project.logs / 'front.log'}"
            )
        code = self._process.returncode
        self._log.warning("HAProxy ended with status %s; starting it again", code)
        self._process = launch.start(self.settings, self.take)
        return True

    def close(self, on_progress: Callable[[int], None], forced: Callable[[], bool]) -> int:
        """Answer what is in flight, refuse what is new, end; return how many were cut off."""
        try:
            return self.haproxy.close(on_progress, forced)
        finally:
            self._keeper.end()
            self._pages.end()
            process = self._process
            until(lambda: process is None or launch.all_read(process), LAST_LINES_SECONDS)

    def take(self, lines: list[str]) -> None:
        """Write down and count what HAProxy has printed."""
        self._log.info("%s", "\n".join(lines))
        for line in lines:
            try:
                self._traffic.add(line)
            except Exception:
                # The lines after it count all the same.
                log.exception("a line of the front's log could not be counted: %s", line)


def _is_written(path: Path) -> bool:
    """Whether a file is there and whole JSON: TorchServe writes it while we look."""
    try:
        json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return False
    return True
