"""The thread of ``marquee serve --front`` that tells the door every second how things are."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.front import maps
from marquee.front.process import Haproxy
from marquee.front.settings import FrontSettings
from marquee.front.traffic import Traffic, as_json
from marquee.torchserve.readiness import Prober, Readiness
from marquee.versions.canary import TRAFFIC, Watcher

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0


class Keeper(threading.Thread):
    """Asks the models and publishes their readiness; watches canaries where there are any."""

    def __init__(
        self, settings: FrontSettings, prober: Prober, traffic: Traffic, canaries: Watcher
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._settings, self._haproxy = settings, Haproxy(settings.folder)
        self._prober, self._traffic, self._canaries = prober, traffic, canaries
        self._ended = threading.Event()
        self._names: dict[str, str] = {}
        self.ready = False
        self.problem = ""

    def run(self) -> None:
        """Beat until ended; a beat that fails is tried again, and /ping goes stale meanwhile."""
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self.beat()
            except (MarqueeError, OSError) as error:  # OSError: the folder goes at a stop
                self.ready, self.problem = False, str(error)
            except Exception as error:  # noqa: BLE001 - nobody else would beat on
                self._note_fault(error)

    def _note_fault(self, error: Exception) -> None:
        """Tell an error of ours once, not every second."""
        problem = f"the thread that asks the models failed ({type(error).__name__}: {error})"
        if problem != self.problem:
            log.error("%s", problem, exc_info=error)
        self.ready, self.problem = False, problem

    def end(self) -> None:
        """Beat no more."""
        self._ended.set()

    def beat(self) -> None:
        """Look at everything once.

        Raises:
            MarqueeError: the server or the door does not answer.
        """
        readiness = self._prober.check()
        self._publish(readiness)
        self._publish_names(readiness)
        sides = self._canaries.look(self._prober, self._traffic)
        text = json.dumps({name: as_json(*both) for name, both in sides.items()})
        with replacing(self._settings.folder / TRAFFIC) as part:
            part.write_text(text)

    def _publish(self, readiness: Readiness) -> None:
        self.ready = readiness.ready or (self._settings.ready_when_empty and not readiness.models)
        self.problem = "; ".join(
            f"{name} {version} {reason}"
            for (name, version), reason in readiness.models.items()
            if reason
        )
        entries = maps.readiness(self._body(readiness), ready=self.ready)
        self._haproxy.map(maps.STATE).set(entries)

    def _body(self, readiness: Readiness) -> dict[str, Any]:
        models = {
            name: {"version": version, "ready": not reason} | ({"why": reason} if reason else {})
            for (name, version), reason in readiness.models.items()
        }
        status = "Healthy" if self.ready else "Unhealthy"
        return {"status": status, "models": models} | dict(self._settings.ping_fields)

    def _publish_names(self, readiness: Readiness) -> None:
        """Tell the door who answers /invocations that name nobody."""
        names = [name for name, _ in readiness.models]
        sole = names[0] if len(names) == 1 else ""
        wanted = {"default": self._settings.default_model or sole, "listed": ",".join(names)}
        if wanted != self._names:
            door = self._haproxy.map(maps.NAMES)
            for key, value in wanted.items():
                if value:
                    door.set({key: value})
                else:
                    door.remove(key)
            self._names = wanted
