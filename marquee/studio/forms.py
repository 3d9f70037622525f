"""The forms of the tab "Operate": swap and rollback, canary, scale; a button a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from marquee.project import Project
from marquee.studio import actions
from marquee.studio.changes import Work
from marquee.studio.ties import LOOKS
from marquee.versions.judgement import DEFAULT_POLICY, CanaryLimits

# What a change is called, and its work.
Plan = tuple[str, Work]
# A button; what plans the change, from the model and what is filled in; where that is.
Form = tuple[gr.Button, Callable[..., Plan], list[Any]]


class Forms:
    """The forms, added to the Blocks that is open.

    Attributes:
        swap_to, canary_of, scale_of: the lists of versions to choose from.
        canary: what is told of the canary.
        all: the forms.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        with gr.Tabs():
            with gr.Tab("Swap"):
                swap = self._swap()
            with gr.Tab("Canary"):
                canary = self._canary()
            with gr.Tab("Scale"):
                scale = self._scale()
        self.all: list[Form] = [*swap, *canary, *scale]

    def _swap(self) -> list[Form]:
        self.swap_to = gr.Dropdown([], label="Version that is to serve")
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
            (swap, self._plan_swap, [self.swap_to, self._watch, self._slowdown, keep]),
            (back, self._plan_rollback, [self._watch, keep]),
        ]

    def _canary(self) -> list[Form]:
        limits = CanaryLimits()
        self.canary = gr.HTML(**LOOKS)
        self.canary_of = gr.Dropdown([], label="Version to try")
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
            (begin, self._plan_canary, [self.canary_of, share, errors, slower]),
            (promote, self._plan_promotion, [self._watch, self._slowdown]),
            (withdraw, self._plan_withdrawal, []),
        ]

    def _scale(self) -> list[Form]:
        with gr.Row():
            workers = gr.Number(1, label="Workers", precision=0, minimum=0)
            self.scale_of = gr.Dropdown([], label="Version")
        force = gr.Checkbox(
            label="At once",
            info="Fewer workers are set in a moment without requests; at once, those that end "
            "fail the requests that they hold.",
        )
        scale = gr.Button("Scale", variant="primary")
        return [(scale, self._plan_scale, [self.scale_of, workers, force])]

    def _plan_swap(self, model: Any, version: Any, watch: Any, slowdown: Any, keep: Any) -> Plan:
        work = actions.swap(
            self._project, model, version, watch=watch, slowdown=slowdown, keep=keep
        )
        return f"swap {model} to {version}", work

    def _plan_rollback(self, model: Any, watch: Any, keep: Any) -> Plan:
        return f"roll {model} back", actions.rollback(self._project, model, watch=watch, keep=keep)

    def _plan_canary(self, model: Any, version: Any, share: Any, errors: Any, slower: Any) -> Plan:
        work = actions.begin(
            self._project, model, version, share=share, more_errors=errors, slower=slower
        )
        return f"try {model} {version} on {share} % of the requests", work

    def _plan_promotion(self, model: Any, watch: Any, slowdown: Any) -> Plan:
        work = actions.promote(self._project, model, watch=watch, slowdown=slowdown)
        return f"promote the canary of {model}", work

    def _plan_withdrawal(self, model: Any) -> Plan:
        return f"withdraw the canary of {model}", actions.withdraw(self._project, model)

    def _plan_scale(self, model: Any, version: Any, workers: Any, force: Any) -> Plan:
        work = actions.scale(self._project, model, version, workers=workers, force=force)
        return f"scale {' '.join(filter(None, (model, version)))} to {workers} worker(s)", work
