"""The tab "Operate": what runs, what clients meet, and the commands that change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.studio import actions, tables
from marquee.studio.access import ASK, is_asked, permitted
from marquee.studio.changes import Change, Changes, Work
from marquee.studio.connection import Connection
from marquee.studio.overview import Look, Overview
from marquee.studio.ties import LOOKS, QUIETLY, READ_OUT, open_tab, seen, ticking
from marquee.versions.judgement import DEFAULT_POLICY, CanaryLimits

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

# A work's name and the work, from what is filled in.
Planned = Callable[..., tuple[str, Work]]


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
            with gr.Column(visible=self._project is not None):
                self._build_traffic()
                self._build_actions()
                self._build_log()
                self._history = gr.HTML(**LOOKS)
        self._tie_looks()
        for button, plan, inputs in self._buttons if self._project is not None else ():
            self._tie(button, plan, inputs)
        if lock is not None:
            self._tie_lock(lock, panel)

    def _lock(self) -> tuple[gr.Textbox, gr.Button, gr.HTML]:
        gr.Markdown(f"To operate this server, {ASK}.")
        shown = gr.Textbox(label="Management token", type="password", max_lines=1)
        return shown, gr.Button("Show it"), gr.HTML(js_on_load=READ_OUT, **LOOKS)

    def _build_traffic(self) -> None:
        self._traffic = gr.HTML(**LOOKS)

    def _build_actions(self) -> None:
        with gr.Tabs():
            with gr.Tab("Swap"):
                swapped = self._build_swap()
            with gr.Tab("Canary"):
                tried = self._build_canary()
            with gr.Tab("Scale"):
                scaled = self._build_scale()
        self._told = gr.HTML(js_on_load=READ_OUT, **LOOKS)
        self._clock = gr.HTML(**LOOKS)
        self._buttons = [*swapped, *tried, *scaled]

    def _build_swap(self) -> list[tuple[gr.Button, Planned, list[Any]]]:
        self._swap_to = gr.Dropdown([], label="Version that is to serve")
        with gr.Row():
            self._watch = gr.Number(
                DEFAULT_POLICY.watch_seconds,
                label="Watched for, in seconds",
                info="Live traffic, before the old version may go.",
                minimum=0,
                maximum=actions.LONGEST_SECONDS,
            )
            self._slowdown = gr.Number(
                DEFAULT_POLICY.max_slowdown,
                label="Times slower, at most",
                info="Than the version that serves.",
                minimum=1,
            )
        keep = gr.Checkbox(label="Leave the old version its workers")
        with gr.Row():
            swap = gr.Button("Swap", variant="primary")
            back = gr.Button("Roll back to the version before")
        return [
            (swap, self._plan_swap, [self._swap_to, self._watch, self._slowdown, keep]),
            (back, self._plan_rollback, [self._watch, keep]),
        ]

    def _build_canary(self) -> list[tuple[gr.Button, Planned, list[Any]]]:
        limits = CanaryLimits()
        self._canary = gr.HTML(**LOOKS)
        self._canary_of = gr.Dropdown([], label="Version to try")
        with gr.Row():
            share = gr.Number(
                5, label="Share, in %", info="Of the requests.", minimum=0, maximum=100
            )
            errors = gr.Number(
                100 * limits.max_errors,
                label="More failures, in %",
                info="Withdrawn by itself beyond that.",
                minimum=0,
                maximum=100,
            )
            slower = gr.Number(
                100 * limits.max_slower,
                label="Longer p95, in %",
                info="Withdrawn by itself beyond that.",
                minimum=0,
            )
        with gr.Row():
            begin = gr.Button("Begin, or change the share", variant="primary")
            promote = gr.Button("Promote")
            withdraw = gr.Button("Withdraw")
        return [
            (begin, self._plan_canary, [self._canary_of, share, errors, slower]),
            (promote, self._plan_promotion, [self._watch, self._slowdown]),
            (withdraw, self._plan_withdrawal, []),
        ]

    def _build_scale(self) -> list[tuple[gr.Button, Planned, list[Any]]]:
        with gr.Row():
            workers = gr.Number(1, label="Workers", precision=0, minimum=0)
            self._scale_of = gr.Dropdown([], label="Version")
        force = gr.Checkbox(
            label="At once",
            info="Fewer workers are set in a moment without requests; at once, those that end "
            "fail the requests that they hold.",
        )
        scale = gr.Button("Scale", variant="primary")
        return [(scale, self._plan_scale, [self._scale_of, workers, force])]

    def _build_log(self) -> None:
        with gr.Accordion("The log of a request", open=False):
            asked = gr.Textbox(
                label="Its id", info="The header x-request-id of its answer.", max_lines=1
            )
            find = gr.Button("Find")
            found = gr.HTML(js_on_load=READ_OUT, **LOOKS)
        gr.on([find.click, asked.submit], self._log_of, [self._token, asked], found, **QUIETLY)

    # What is looked at, and when.

    def _tie_looks(self) -> None:
        tab = open_tab()
        timer = ticking(tab, LOOK_SECONDS)
        self._look_on(timer.tick, tab.select, self._model.input)
        if self._project is not None:
            tab.select(self._follow_last, self._token, [self._told, self._clock], **QUIETLY)

    def _look_on(self, *triggers: Any) -> Any:
        inputs = [self._seen, self._token, self._model, self._shown]
        return gr.on(
            [*triggers],
            self._look,
            inputs,
            self._looked(),
            js=seen("operate"),
            **QUIETLY,
            queue=False,
        )

    def _looked(self) -> list[Any]:
        """Return what a look changes, in the order of :meth:`_look`."""
        listed = [self._shown, self._model]
        if self._project is None:
            return [self._models, *listed]
        chosen = [self._swap_to, self._canary_of, self._scale_of]
        return [self._models, *listed, *chosen, self._traffic, self._canary, self._history]

    def _look(self, looked: bool, token: str, model: str | None, shown: Any) -> list[Any]:
        """Return all that is seen; what cannot be is left as it is, and why is said."""
        same = [gr.skip() for _ in self._looked()]
        if not looked:
            return same
        try:
            with permitted(self._connection, token) as api:
                look = self._overview.look(api, model)
        except MarqueeError as error:
            return [tables.failed(str(error)), *same[1:]]
        lists, choices = self._lists(look, shown)
        if self._project is None:
            return [look.models, choices, *lists[:1]]
        return [look.models, choices, *lists, look.traffic, look.canary, look.history]

    def _lists(self, look: Look, shown: Any) -> tuple[list[Any], Any]:
        """Return the lists to choose from; nothing is moved under a hand that chooses."""
        choices = (look.model, look.names, look.versions, look.registered)
        if choices == shown:
            return [gr.skip()] * 4, shown
        others = [one for one in look.versions if one != look.default]
        another = gr.Dropdown(choices=others, value=next(iter(others), None))
        serving = ("the one that serves", "")
        scaled = gr.Dropdown(choices=[serving, *((one, one) for one in look.registered)], value="")
        named = gr.Dropdown(choices=look.names, value=look.model)
        return [named, another, another, scaled], choices

    # What is done.

    def _tie(self, button: gr.Button, plan: Planned, inputs: list[Any]) -> None:
        done = button.click(
            self._acting(plan),
            [self._token, self._model, *inputs],
            [self._told, self._clock],
            **QUIETLY,
        )
        done.then(
            self._look,
            [self._seen, self._token, self._model, self._shown],
            self._looked(),
            js=seen("operate"),
            **QUIETLY,
        )

    def _acting(self, plan: Planned) -> Callable[..., Iterator[tuple[str, str]]]:
        def act(token: str, *given: Any) -> Iterator[tuple[str, str]]:
            try:
                with permitted(self._connection, token):
                    what, work = plan(*given)
            except MarqueeError as error:
                yield tables.failed(str(error)), ""
                return
            yield from _followed(self._changes.begin(what, work))

        return act

    def _follow_last(self, token: str) -> Iterator[tuple[str, str]]:
        """Tell of the last change, which whoever has closed the page may have begun."""
        last = self._changes.last()
        try:
            with permitted(self._connection, token):
                pass
        except MarqueeError:
            return  # a look has said it
        if last is not None:
            yield from _followed(last)

    def _here(self) -> Project:
        if self._project is None:
            raise MarqueeError(ELSEWHERE)
        return self._project

    def _plan_swap(
        self, model: Any, version: Any, watch: Any, slowdown: Any, keep: Any
    ) -> tuple[str, Work]:
        work = actions.swap(self._here(), model, version, watch=watch, slowdown=slowdown, keep=keep)
        return f"swap {model} to {version}", work

    def _plan_rollback(self, model: Any, watch: Any, keep: Any) -> tuple[str, Work]:
        return f"roll {model} back", actions.rollback(self._here(), model, watch=watch, keep=keep)

    def _plan_canary(
        self, model: Any, version: Any, share: Any, errors: Any, slower: Any
    ) -> tuple[str, Work]:
        work = actions.begin(
            self._here(), model, version, share=share, more_errors=errors, slower=slower
        )
        return f"try {model} {version} on {share} % of the requests", work

    def _plan_promotion(self, model: Any, watch: Any, slowdown: Any) -> tuple[str, Work]:
        work = actions.promote(self._here(), model, watch=watch, slowdown=slowdown)
        return f"promote the canary of {model}", work

    def _plan_withdrawal(self, model: Any) -> tuple[str, Work]:
        return f"withdraw the canary of {model}", actions.withdraw(self._here(), model)

    def _plan_scale(self, model: Any, version: Any, workers: Any, force: Any) -> tuple[str, Work]:
        work = actions.scale(self._here(), model, version, workers=workers, force=force)
        return f"scale {model} {version or ''} to {workers} worker(s)", work

    def _log_of(self, token: str, asked: str) -> str:
        """Return the story of a request."""
        try:
            with permitted(self._connection, token):
                return actions.log_of(self._here(), asked)
        except MarqueeError as error:
            return tables.failed(str(error))

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
        opened.then(
            self._look,
            [self._seen, self._token, self._model, self._shown],
            self._looked(),
            js=seen("operate"),
            **QUIETLY,
        )

    def _unlock(self, typed: str) -> tuple[str, str, str, gr.Column]:
        """Keep a token that the server takes; it goes back to no page."""
        try:
            with permitted(self._connection, typed):
                said = tables.paragraph("The server takes it. It is kept until the page is closed.")
                return typed, "", said, gr.Column(visible=True)
        except MarqueeError as error:
            return "", "", tables.failed(str(error)), gr.Column(visible=False)


def _followed(change: Change) -> Iterator[tuple[str, str]]:
    """Yield a change's steps as they pass, and how long it has taken until now."""
    for _ in change.follow():
        clock = "" if change.over else f"going on for {change.seconds:.0f} s"
        yield tables.told(change), tables.paragraph(clock) if clock else ""
