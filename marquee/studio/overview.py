"""What the tab "Operate" shows each time that somebody looks: models, traffic, canary, history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.studio import actions, tables
from marquee.studio.live import WINDOW_SECONDS, DefaultAt, LiveTraffic, Point, default_at
from marquee.studio.plots import Line, plot
from marquee.torchserve.management import Management
from marquee.torchserve.models import ModelState, of_server
from marquee.versions import canaries, canary, history

HISTORY = 20


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        states: every version of every model.
        models, traffic, canary, history: in HTML.
        names: of the models.
        model, default: the one that is chosen, and its default version.
        registered: its versions on the server.
        versions: those of which the model store has the archive.
    """

    states: Sequence[ModelState]
    models: str
    traffic: str = ""
    canary: str = ""
    history: str = ""
    names: Sequence[str] = ()
    model: str | None = None
    default: str | None = None
    registered: Sequence[str] = ()
    versions: Sequence[str] = ()


class Overview:
    """Looks at a server for all who have the tab open.

    Args:
        project: None where its folder is not here, and models are all that can be told.
    """

    def __init__(self, project: Project | None) -> None:
        self._project = project
        self._traffic = None if project is None else LiveTraffic(project)

    def look(self, api: Management, model: str | None) -> Look:
        """Look once.

        Args:
            api: a connection to the server.
            model: which is chosen; the first where it is None, or not there.

        Raises:
            MarqueeError: the server does not answer.
        """
        project = self._project
        states = of_server(api, None if project is None else project.model_store)
        names = list(dict.fromkeys(one.name for one in states))
        chosen = model if model in names else next(iter(names), None)
        if project is None or self._traffic is None or chosen is None:
            return Look(states, tables.models(states, {}), names=names, model=chosen)
        mine = [one for one in states if one.name == chosen]
        self._traffic.read(self._defaults(project, states))
        return Look(
            states=states,
            models=tables.models(states, canaries.load(project)),
            traffic=self._plots(self._traffic, chosen, alone=len(names) == 1),
            canary=_canary(project, chosen),
            history=tables.history(history.read(project)[-HISTORY:]),
            names=names,
            model=chosen,
            default=next((one.version for one in mine if one.default), None),
            registered=[one.version for one in mine],
            versions=actions.versions(project, chosen),
        )

    def _defaults(
        self, project: Project, states: Sequence[ModelState]
    ) -> Callable[[str], DefaultAt | None]:
        defaults = {one.name: one.version for one in states if one.default}
        records = history.read(project)
        known = {
            name: default_at([one for one in records if one.get("model") == name], version)
            for name, version in defaults.items()
        }
        if len(known) == 1:  # a request that names no model is for the only one
            known[""] = next(iter(known.values()))
        return known.get

    def _plots(self, traffic: LiveTraffic, model: str, *, alone: bool) -> str:
        seen = {
            version: traffic.points(model, version, alone=alone)
            for version in traffic.versions(model, alone=alone)
        }
        if seen:
            return _drawn(seen)
        minutes = WINDOW_SECONDS // 60
        return tables.paragraph(f"No client has asked {model} in the last {minutes} minutes.")


def _drawn(seen: Mapping[str, Sequence[Point]]) -> str:
    """Return the plots of what each version answered; a version has its colour in all of them."""
    rates, times, failures = [], [], []
    for number, (version, points) in enumerate(seen.items()):
        rates.append(Line(version, [(one.at, one.rate) for one in points], number, number))
        times.append(Line(f"{version} p50", [(one.at, one.p50) for one in points], number))
        times.append(Line(f"{version} p95", [(one.at, one.p95) for one in points], number, 1))
        failures.append(Line(version, [(one.at, one.failed) for one in points], number, number))
    figures = (
        plot("Requests a second", rates, WINDOW_SECONDS, "/s"),
        plot("Milliseconds to an answer", times, WINDOW_SECONDS, "ms"),
        plot("Failures a second (500 and above)", failures, WINDOW_SECONDS, "/s"),
    )
    return f'<div class="mq-plots">{"".join(figures)}</div>'


def _canary(project: Project, model: str) -> str:
    """Return how a canary does; why there is none, if there is none."""
    try:
        return tables.canary(canary.figures(project, model))
    except MarqueeError as error:
        return tables.paragraph(str(error))
