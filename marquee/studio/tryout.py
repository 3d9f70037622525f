"""The tab "Try": a model is chosen, and its room made from what it declares."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import gradio as gr

from marquee.openapi.served import Offer
from marquee.studio import html, room
from marquee.studio.catalogue import Catalogue, Models
from marquee.studio.connection import Connection

SECONDS = 3.0


def tab(connection: Connection, page: gr.Blocks) -> None:
    """Add the tab's components to the page, which is open."""
    catalogue = Catalogue(connection)
    models = catalogue.models()  # as the page begins: it need not wait for them
    first = next(iter(models.names), None)
    offer, versions = models.find(first), models.versions(first)
    server = gr.HTML(_said(connection, models), elem_id="mq-server")
    with gr.Row():
        model = gr.Radio(models.names, value=first, label="Model", scale=3, min_width=280)
        # Of any value: a question may be under way while another model's list comes.
        version = gr.Dropdown(
            versions,
            value=offer.version if offer else None,
            label="Version",
            min_width=140,
            allow_custom_value=True,
        )
    # What the fields above were filled with.
    known: gr.State = gr.State([models.problem, models.names, first, versions])
    # A version's declaration, as text: a change makes another room.
    chosen: gr.State = gr.State(_text(offer))
    fields = [server, model, version, known, chosen]

    def look(
        name: str | None, number: str | None, before: Any, offered: str
    ) -> list[dict[str, Any] | Any]:
        models, given = catalogue.models(), (name, number)
        name = name if name in models.names else next(iter(models.names), None)
        versions = models.versions(name)
        now = [models.problem, models.names, name, versions]
        other_model = before[2] != name
        number = None if other_model or number not in versions else number
        found = models.find(name, number)
        text = _text(found)
        if now == before and text == offered:
            return [gr.skip()] * len(fields)
        found_version = found.version if found else None
        # What is chosen meanwhile stays: only what cannot be is changed.
        return [
            _said(connection, models),
            gr.update(choices=models.names, **_changed(given[0], name)),
            gr.update(choices=versions, **_changed(given[1], found_version)),
            now,
            gr.skip() if text == offered else text,
        ]

    asked: dict[str, Any] = {
        "fn": look,
        "inputs": [model, version, known, chosen],
        "outputs": fields,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    # Whoever is quick chooses another while the first is looked up.
    gr.on([page.load, model.input, version.input], trigger_mode="always_last", **asked)
    gr.Timer(SECONDS).tick(**asked)

    @gr.render(inputs=chosen, show_progress="hidden")  # type: ignore[untyped-decorator]
    def _(offered: str) -> None:
        if offered:
            room.room(connection, Offer(**json.loads(offered)))


def _changed(before: str | None, now: str | None) -> dict[str, Any]:
    return {} if now == before else {"value": now}


def _text(offer: Offer | None) -> str:
    return "" if offer is None else json.dumps(asdict(offer))


def _said(connection: Connection, models: Models) -> str:
    return html.render(
        "server",
        address=connection.shown_address,
        problem=models.problem,
        models=len(models.names),
    )
