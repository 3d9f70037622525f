"""What the tab "Operate" shows each time that somebody looks: models, traffic, canary, history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.studio import actions, plots, tables
from marquee.studio.live import WINDOW_SECONDS, DefaultAt, LiveTraffic, default_at
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
        if not seen:
            minutes = WINDOW_SECONDS // 60
            return tables.paragraph(f"No client has asked {model} in the last {minutes} minutes.")
        lines = {
            "Requests": ([("", "rate")], "/s"),
            "Times": ([(" p50", "p50"), (" p95", "p95")], "ms"),
            "Failures": ([("", "failed")], "/s"),
        }
        return (
            '<div class="plots">'
            + "".join(
                plots.plot(
                    f"{title}, {unit}",
                    [
                        plots.Line(
                            version + suffix, [(one.at, getattr(one, name)) for one in points]
                        )
                        for version, points in seen.items()
                        for suffix, name in series
                    ],
                    WINDOW_SECONDS,
                    unit,
                )
                for title, (series, unit) in lines.items()
            )
            + "</div>"
        )


def _canary(project: Project, model: str) -> str:
    """Return how a canary does; why there is none, if there is none."""
    try:
        return tables.canary(canary.figures(project, model))
    except MarqueeError as error:
        return tables.paragraph(str(error))
