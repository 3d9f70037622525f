"""The tab "Operate": what runs, what clients meet, and the commands that change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.studio import actions, tables
from marquee.studio.access import is_asked, permitted
from marquee.studio.changes import Change, Changes
from marquee.studio.connection import Connection
from marquee.studio.forms import Forms, Plan
from marquee.studio.overview import Look, Overview
from marquee.studio.ties import LOOKS, QUIETLY, READ_OUT, open_tab, seen, ticking

# Between two looks at the server, as long as somebody looks at the tab.
LOOK_SECONDS = 2.0
UNKNOWN = (
    "Nobody here knows where this server is managed. Start the studio in the server's own folder, "
    "or with `--management-url`."
)
ELSEWHERE = (
    "The archives, the logs and the history of this server are in its own folder: swaps, canaries, "
    "scaling and logs are there in a studio that is started in it."
)


def tab(connection: Connection) -> None:
    """Add the tab's components to the Blocks that is open."""
    if connection.management_address is None:
        gr.Markdown(UNKNOWN)
    else:
        _Operate(connection).build()


class _Operate:
    """The tab's components, and what they do."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._project = connection, connection.project
        self._overview, self._changes = Overview(connection.project), Changes()

    def build(self) -> None:
        """Add the components, and tie them to what they do."""
        self._token = gr.State("")  # of the session, on this side
        self._shown = gr.State(None)
        self._seen = gr.Checkbox(visible=False)
        lock = self._lock() if is_asked(self._connection) else None
        with gr.Column(visible=lock is None, elem_id="operate") as panel:
            self._models = gr.HTML(**LOOKS)
            self._model = gr.Dropdown([], label="Model", info="Whom all below is about.")
            if self._project is None:
                gr.Markdown(ELSEWHERE)
            else:
                self._build_rest(self._project)
        self._tie_looks()
        for form in self._forms.all if self._project is not None else ():
            self._tie(*form)
        if lock is not None:
            self._tie_lock(lock, panel)

    def _lock(self) -> tuple[gr.Textbox, gr.Button, gr.HTML]:
        with gr.Column(elem_id="operate-lock"):
            gr.Markdown(
                "To operate this server, show its management token. Who started it gets it there, "
                "in its folder: `marquee token management`."
            )
            shown = gr.Textbox(label="Management token", type="password", max_lines=1)
            button, said = gr.Button("Show it"), gr.HTML(js_on_load=READ_OUT, **LOOKS)
        return shown, button, said

    def _build_rest(self, project: Project) -> None:
        """Add what only a studio in the server's own folder has."""
        self._traffic = gr.HTML(**LOOKS)
        self._forms = Forms(project)
        self._told = gr.HTML(js_on_load=READ_OUT, **LOOKS)
        self._clock = gr.HTML(**LOOKS)
        self._build_log(project)
        self._history = gr.HTML(**LOOKS)

    def _build_log(self, project: Project) -> None:
        def log_of(token: str, asked: str) -> str:
            try:
                with permitted(self._connection, token):
                    return actions.log_of(project, asked)
            except MarqueeError as error:
                return tables.refused(str(error))

        with gr.Accordion("The log of a request", open=False):
            asked = gr.Textbox(
                label="Its id", info="The header x-request-id of its answer.", max_lines=1
            )
            find = gr.Button("Find")
            found = gr.HTML(js_on_load=READ_OUT, **LOOKS)
        gr.on([find.click, asked.submit], log_of, [self._token, asked], found, **QUIETLY)

    # What is looked at, and when.

    def _tie_looks(self) -> None:
        tab = open_tab()
        timer = ticking(tab, LOOK_SECONDS)
        gr.on([tab.select, self._model.input], **self._to_look(), queue=False)
        # Of the model it would know what was chosen as it was asked, and somebody may have chosen
        # since: the state is read as it is answered.
        again = self._to_look() | {
            "fn": self._look_again,
            "inputs": [self._seen, self._token, self._shown],
        }
        timer.tick(**again, queue=False)
        if self._project is not None:
            tab.select(self._follow_last, self._token, [self._told, self._clock], **QUIETLY)

    def _to_look(self) -> dict[str, Any]:
        """Return what an event that looks is made of."""
        return {
            "fn": self._look,
            "inputs": [self._seen, self._token, self._model, self._shown],
            "outputs": self._looked(),
            "js": seen("operate"),
            **QUIETLY,
        }

    def _looked(self) -> list[Any]:
        """Return what a look changes, in the order of :meth:`_look`."""
        listed = [self._shown, self._model]
        if self._project is None:
            return [self._models, *listed]
        forms = self._forms
        chosen = [forms.swap_to, forms.canary_of, forms.scale_of]
        return [self._models, *listed, *chosen, self._traffic, forms.canary, self._history]

    def _look(self, looked: bool, token: str, model: str | None, shown: Any) -> list[Any]:
        """Return all that is seen; what cannot be is left as it is, and why is said."""
        same = [gr.skip() for _ in self._looked()]
        if not looked:
            return same
        try:
            with permitted(self._connection, token) as api:
                look = self._overview.look(api, model)
        except MarqueeError as error:
            return [tables.refused(str(error)), *same[1:]]
        lists, choices = self._lists(look, shown)
        if self._project is None:
            return [look.models, choices, *lists[:1]]
        return [look.models, choices, *lists, look.traffic, look.canary, look.history]

    def _look_again(self, looked: bool, token: str, shown: Any) -> list[Any]:
        return self._look(looked, token, shown[0] if shown else None, shown)

    def _lists(self, look: Look, shown: Any) -> tuple[list[Any], Any]:
        """Return the lists to choose from, and what they were made of.

        As long as that is the same they stay: nothing is moved under a hand that chooses.
        """
        choices = (look.model, look.default, look.names, look.versions, look.registered)
        if choices == shown:
            return [gr.skip()] * 4, shown
        others = [one for one in look.versions if one != look.default]
        another = gr.Dropdown(choices=others, value=next(iter(others), None))
        serving = ("the one that serves", "")
        scaled = gr.Dropdown(choices=[serving, *((one, one) for one in look.registered)], value="")
        named = gr.Dropdown(choices=look.names, value=look.model)
        return [named, another, another, scaled], choices

    # What is done.

    def _tie(self, button: gr.Button, plan: Callable[..., Plan], inputs: list[Any]) -> None:
        done = button.click(
            self._acting(plan),
            [self._token, self._model, *inputs],
            [self._told, self._clock],
            **QUIETLY,
        )
        done.then(**self._to_look())

    def _acting(self, plan: Callable[..., Plan]) -> Callable[..., Iterator[tuple[str, str]]]:
        def act(token: str, *given: Any) -> Iterator[tuple[str, str]]:
            try:
                with permitted(self._connection, token):
                    what, work = plan(*given)
            except MarqueeError as error:
                yield tables.refused(str(error)), ""
                return
            yield from _followed(self._changes.begin(what, work))

        return act

    def _follow_last(self, token: str) -> Iterator[tuple[str, str]]:
        """Tell of a change that goes on, which whoever has closed the page may have begun."""
        last = self._changes.last()
        if last is None or last.over:
            return
        try:
            with permitted(self._connection, token):
                yield from _followed(last)
        except MarqueeError:
            return  # a look has said it

    # Who may.

    def _tie_lock(self, lock: tuple[gr.Textbox, gr.Button, gr.HTML], panel: gr.Column) -> None:
        typed, button, said = lock
        opened = gr.on(
            [button.click, typed.submit],
            self._unlock,
            typed,
            [self._token, typed, said, panel],
            **QUIETLY,
        )
        opened.then(**self._to_look())

    def _unlock(self, typed: str) -> tuple[str, str, str, gr.Column]:
        """Keep a token that the server takes; it goes back to no page."""
        try:
            with permitted(self._connection, typed):
                said = tables.paragraph("The server takes it. It is kept until the page is closed.")
                return typed, "", said, gr.Column(visible=True)
        except MarqueeError as error:
            return "", "", tables.refused(str(error)), gr.Column(visible=False)


def _followed(change: Change) -> Iterator[tuple[str, str]]:
    """Yield a change's steps as they pass, and how long it has taken until now."""
    for _ in change.follow():
        clock = "" if change.over else f"going on for {change.seconds:.0f} s"
        yield tables.told(change), tables.paragraph(clock) if clock else ""
