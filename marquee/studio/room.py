"""The page of one version of one model: what is given on one side, what is answered beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from marquee.media import suffix_of
from marquee.openapi.served import Offer
from marquee.studio import explanation, html, inputs, samples, several, shows, snippets
from marquee.studio.connection import Connection
from marquee.studio.inputs import PRIVATE, Form, Given
from marquee.studio.question import Question, Reply
from marquee.studio.subject import AS_SHOWN, Subject, schemas_of
from marquee.studio.upload import Upload, kept, of_field

NARROWEST = 280
FEW_PARAMETERS = 3
NOTHING_GIVEN = "choose a file first, or take the sample"
EMPTY = "<p>Nothing was asked yet.</p>"
# Without any value a page goes on showing what the room before it had there.
CLEARED = "<p></p>"
# A phone has the answer below the form.
INTO_VIEW = "() => { document.querySelector('#mq-outputs').scrollIntoView({block: 'nearest'}) }"


def room(connection: Connection, offer: Offer) -> None:
    """Add a version's part to the Blocks that is open."""
    subject = Subject(connection, offer)
    with gr.Row():
        with gr.Column(min_width=NARROWEST):
            gr.HTML(_heading(offer))
            given = inputs.given(subject)
            form = _parameters(subject)
            accept = gr.Dropdown(
                [AS_SHOWN, *subject.produces],
                value=AS_SHOWN,
                label="Type of the answer",
                interactive=True,
                visible=bool(subject.produces),
            )
            button = gr.Button("Ask", variant="primary", elem_id="mq-ask")
            why = _why(subject)
        with gr.Column(min_width=NARROWEST, elem_id="mq-outputs"):
            outputs = _outputs(subject)
    inputs.take_samples(subject, given, form)
    _ask_on_click(button, subject, Asked(given, accept, form), outputs)
    if why is not None:
        _explain_on_click(why, subject, given, outputs)
    with gr.Accordion("Several files at once", open=False):
        _several(subject, accept, form)


def _heading(offer: Offer) -> str:
    said = offer.said
    return html.render(
        "room",
        model=offer.model,
        version=offer.version,
        consumes=said.get("consumes", ()),
        pixels=said.get("limits", {}).get("max_pixels"),
        script="script" in said,
    )


def _parameters(subject: Subject) -> Form:
    if not subject.parameters:
        return Form({}, [])
    with gr.Accordion("Parameters", open=len(subject.parameters) <= FEW_PARAMETERS):
        return inputs.form(subject.parameters, subject.key)


@dataclass(frozen=True)
class Outputs:
    """Where answers go."""

    tabs: gr.Tabs
    details: gr.HTML
    answer: gr.HTML
    file: gr.DownloadButton
    why: gr.HTML
    code: gr.HTML


def _outputs(subject: Subject) -> Outputs:
    with gr.Tabs(selected="answer") as tabs:
        with gr.Tab("Answer", id="answer"):
            answer = gr.HTML(EMPTY, elem_id="mq-answer")
            details = gr.HTML(CLEARED, elem_id="mq-details")
            file = gr.DownloadButton("Download the answer", interactive=False, size="sm")
        with gr.Tab("Why", id="why", visible=subject.explained is not None):
            why = gr.HTML(EMPTY, elem_id="mq-why")
        with gr.Tab("Code", id="code"):
            code = gr.HTML(html.render("code", snippets=[]), elem_id="mq-code")
    return Outputs(tabs, details, answer, file, why, code)


# Asking


@dataclass(frozen=True)
class Asked:
    """What a prediction is asked for with."""

    given: Given
    accept: gr.Dropdown
    form: Form


def _ask_on_click(button: gr.Button, subject: Subject, asked: Asked, outputs: Outputs) -> None:
    given, form = asked.given, asked.form
    count = len(given.components)

    def answered(wanted: str, *values: Any) -> list[Any]:
        upload = given.upload(values[:count])
        shown = [_details(Reply(NOTHING_GIVEN)), EMPTY, None, gr.skip()]
        if upload is not None:
            shown = _answered(subject, upload, wanted, form.texts(values[count:]))
        details, answer, file, code = shown
        download = gr.DownloadButton(value=file, interactive=file is not None)
        return [gr.Tabs(selected="answer"), details, answer, download, code]

    button.click(
        answered,
        [asked.accept, *given.components, *form.components],
        [outputs.tabs, outputs.details, outputs.answer, outputs.file, outputs.code],
        **PRIVATE,
    ).then(None, js=INTO_VIEW, **PRIVATE)


def _answered(
    subject: Subject, upload: Upload, wanted: str, parameters: Mapping[str, str]
) -> list[Any]:
    """Ask, and return the details, the answer as HTML, its file, and the request as code."""
    question, reply = subject.ask(upload, wanted, parameters)
    if reply.problem:
        return [_details(reply), "", None, _code(subject, question, "")]
    word = subject.word if wanted == AS_SHOWN else None
    seen = subject.seen(upload, parameters)
    shown = shows.shown(word, reply.content_type, reply.body, seen)
    file = kept(reply.body, _file_name(subject, upload, reply))
    return [_details(reply), shown, file, _code(subject, question, reply.content_type)]


def _details(reply: Reply) -> str:
    return html.render(
        "details",
        problem=reply.problem,
        status=reply.status,
        version=reply.version,
        seconds=reply.seconds,
        sent=reply.sent,
        received=len(reply.body),
        media=reply.content_type,
        request_id=reply.request_id,
        stages=list(reply.stages.items()),
        longest=max([*reply.stages.values(), 1e-9]),
    )


def _file_name(subject: Subject, upload: Upload, reply: Reply) -> str:
    suffix = suffix_of(reply.content_type) or ".bin"
    return f"{Path(upload.name).stem}-{subject.offer.model}{suffix}"


def _code(subject: Subject, question: Question, answer: str) -> str:
    name = samples.named(subject.sample, question.file, question.name)
    shown = snippets.of(subject.connection, replace(question, name=name), answer)
    made = {
        "curl": snippets.curl(shown),
        "Python": snippets.python(shown),
        "JavaScript": snippets.javascript(shown),
    }
    return html.render("code", snippets=list(made.items()))


# Why


@dataclass(frozen=True)
class Why:
    """The form of an explanation."""

    form: Form
    button: gr.Button


def _why(subject: Subject) -> Why | None:
    if subject.explained is None:
        return None
    with gr.Accordion("Why this answer?", open=False):
        form = inputs.form(schemas_of(subject.explained), f"why {subject.key}")
        return Why(form, gr.Button("Explain", elem_id="mq-explain"))


def _explain_on_click(why: Why, subject: Subject, given: Given, outputs: Outputs) -> None:
    count = len(given.components)

    def explained(*values: Any) -> list[Any]:
        upload = given.upload(values[:count])
        shown = _details(Reply(NOTHING_GIVEN))
        if upload is not None:
            shown = _explained(subject, upload, why.form.texts(values[count:]))
        return [gr.Tabs(selected="why"), shown]

    why.button.click(
        explained,
        [*given.components, *why.form.components],
        [outputs.tabs, outputs.why],
        **PRIVATE,
    ).then(None, js=INTO_VIEW, **PRIVATE)


def _explained(subject: Subject, upload: Upload, parameters: Mapping[str, str]) -> str:
    reply = subject.explain(upload, parameters)
    if reply.problem:
        return _details(reply)
    seen = subject.seen(upload, parameters)
    return explanation.shown(reply.content_type, reply.body, seen) + _details(reply)


# Several files


def _several(subject: Subject, accept: gr.Dropdown, form: Form) -> None:
    field = gr.File(file_count="multiple", label="Files", height=140, elem_id="mq-files")
    button = gr.Button("Ask about all of them", elem_id="mq-ask-all")
    gallery = gr.HTML(CLEARED, elem_id="mq-gallery")

    def all_of_them(values: Any, wanted: str, *parameters: Any) -> Iterator[str]:
        uploads = [upload for upload in map(of_field, values or []) if upload]
        if not uploads:
            yield _details(Reply("choose some files first"))
            return
        texts = form.texts(parameters)
        word = subject.word if wanted == AS_SHOWN else None
        yield from several.answers(
            uploads, lambda upload: subject.ask(upload, wanted, texts)[1], word
        )

    button.click(all_of_them, [field, accept, *form.components], gallery, **PRIVATE)
