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
# That a look fills: the server, the model, the version, and two states.
FIELDS = 5


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

    def look(name: str | None, number: str | None, before: Any, offered: str) -> list[Any]:
        now = catalogue.models()
        return _looked(connection, now, (name, number), before, offered)

    def choose(name: str | None, number: str | None, before: Any, offered: str) -> list[Any]:
        return look(name, number if name == before[2] else None, before, offered)

    def look_again(before: Any, offered: str) -> list[Any]:
        # Of what the fields hold it would know what they held as it was asked: somebody may have
        # chosen since. States are read as it is answered.
        number = json.loads(offered)["version"] if offered else None
        return look(before[2], number, before, offered)

    quietly: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    # Whoever is quick chooses another while the first is looked up.
    gr.on(
        [page.load, model.input, version.input],
        choose,
        [model, version, known, chosen],
        fields,
        trigger_mode="always_last",
        **quietly,
    )
    gr.Timer(SECONDS).tick(look_again, [known, chosen], fields, **quietly)

    @gr.render(inputs=chosen, show_progress="hidden")  # type: ignore[untyped-decorator]
    def _(offered: str) -> None:
        if offered:
            room.room(connection, Offer(**json.loads(offered)))


def _looked(
    connection: Connection,
    models: Models,
    asked: tuple[str | None, str | None],
    before: Any,
    offered: str,
) -> list[Any]:
    """Return what the fields become: nothing is moved under a hand that need not be.

    Args:
        asked: the model that is chosen, and its version; None is its default one.
        before: what the fields were filled with.
        offered: the version's declaration.
    """
    name = asked[0] if asked[0] in models.names else next(iter(models.names), None)
    versions = models.versions(name)
    number = asked[1] if asked[1] in versions else None
    found = models.find(name, number)
    text, now = _text(found), [models.problem, models.names, name, versions]
    if now == before and text == offered:
        return [gr.skip()] * FIELDS
    return [
        _said(connection, models),
        gr.update(choices=models.names, **_changed(asked[0], name)),
        gr.update(choices=versions, **_changed(asked[1], found.version if found else None)),
        now,
        gr.skip() if text == offered else text,
    ]


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
