"""Looks at the models of a Ray server every second: their readiness, and their canaries."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from marquee.files import replacing
from marquee.front import rayserver
from marquee.front.settings import read
from marquee.front.traffic import Traffic
from marquee.project import Project
from marquee.serving.beat import Beat, lively, ping_body
from marquee.torchserve.inference import Inference
from marquee.torchserve.loglines import News
from marquee.torchserve.management import Management
from marquee.torchserve.readiness import Prober, Timing
from marquee.versions.canary import TRAFFIC, Watcher

# Of the door's: a line a request, as HAProxy's.
LOG = "front.log"


class Keeper(Beat):
    """Asks the models, counts the door's requests, and watches canaries where there are any.

    Attributes:
        body: what ``/ping`` says; None before the models have been asked.
    """

    def __init__(self, project: Project) -> None:
        super().__init__()
        settings = read(project)
        self._folder = rayserver.folder_of(project)
        self._news, self._traffic = News(project.logs / LOG), Traffic()
        self._watcher = Watcher(project)
        self._prober = Prober(
            Management.of(project),
            Inference.of(project).problem,
            project.model_store,
            Timing(settings.probe_interval, settings.probe_timeout),
            partial(lively, project, self._traffic),
        )
        self.body: dict[str, Any] | None = None

    def beat(self) -> None:
        """Look at everything once.

        Raises:
            MarqueeError: the server does not answer.
        """
        for line in self._news.lines():
            self._traffic.add(line)
        readiness = self._prober.check()
        self._note(readiness, readiness.ready)
        self.body = ping_body(readiness, readiness.ready)
        sides = self._watcher.look(self._prober, self._traffic)
        with replacing(self._folder / TRAFFIC) as part:
            part.write_text(json.dumps(sides))
