"""One version of one model: what it is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils, utils

from marquee.media import suffix_of
from marquee.openapi.served import Offer
from marquee.studio import explanation, fields, html, pictures, samples, several, shows, snippets
from marquee.studio.connection import Connection
from marquee.studio.fields import Schema
from marquee.studio.question import Question, Reply, ask
from marquee.studio.shows import JSON, Input
from marquee.studio.upload import Upload, of_field, photo

AS_SHOWN = "the one that is shown best"
NARROWEST = 280
NAMES = ("curl", "Python", "JavaScript")
# A phone has the answer below the form.
INTO_VIEW = "() => { document.querySelector('#mq-outputs').scrollIntoView({block: 'nearest'}) }"
EMPTY = "<p>Nothing was asked yet.</p>"
PRIVATE: dict[str, Any] = {"api_visibility": "private"}


@dataclass(frozen=True)
class Form:
    """What a question is made from.

    Attributes:
        schemas: of the parameters, by their names.
        components: their fields, in the same order.
    """

    schemas: Mapping[str, Schema]
    components: Sequence[gr.components.Component]

    def texts(self, values: Sequence[Any]) -> dict[str, str]:
        """Return what the fields hold, as far as it has to be sent."""
        return fields.texts(self.schemas, dict(zip(self.schemas, values, strict=True)))


class Room:
    """A version's part of the page.

    Args:
        offer: the version, with what it says of itself.
    """

    def __init__(self, connection: Connection, offer: Offer) -> None:
        self.connection, self.offer = connection, offer
        said = offer.said
        self.word: str | None = said.get("shows")
        self.consumes: Sequence[str] = said.get("consumes") or ("*/*",)
        self.produces: Sequence[str] = said.get("produces") or ()
        self.explained: Mapping[str, Any] | None = said.get("explanations")
        self.parameters = _schemas(said)
        self.sample = samples.sample_of(connection.project, offer)

    @property
    def reads_pictures(self) -> bool:
        """Whether the field for its input is one for pictures."""
        return any(kind.startswith("image/") and "tiff" not in kind for kind in self.consumes)

    @property
    def key(self) -> str:
        """By which fields are the same when the room is made anew, and keep what they hold."""
        return f"{self.offer.model} {self.offer.version}"

    # Asking

    def ask(self, upload: Upload, accept: str, given: Mapping[str, str]) -> tuple[Question, Reply]:
        """Ask for a prediction."""
        wanted = shows.wanted(self.word, self.produces) if accept == AS_SHOWN else accept
        question = Question(
            self.offer.model,
            None if self.offer.default else self.offer.version,
            upload.path,
            upload.name,
            accept=wanted,
            parameters=given,
            content_type=self._type(upload),
        )
        return question, ask(self.connection, question)

    def explain(self, upload: Upload, given: Mapping[str, str]) -> tuple[Question, Reply]:
        """Ask what led to the answer."""
        question = Question(
            self.offer.model,
            None if self.offer.default else self.offer.version,
            upload.path,
            upload.name,
            verb="explanations",
            accept=JSON,
            parameters=given,
            content_type=self._type(upload),
        )
        return question, ask(self.connection, question)

    def _type(self, upload: Upload) -> str | None:
        """Return a sample's own type, which a script may need; of other files their bytes tell."""
        sample = self.sample
        is_sample = sample and upload.path.read_bytes() == sample.body
        return sample.content_type if sample and is_sample and not self.offer.known else None

    def seen(self, upload: Upload, given: Mapping[str, str]) -> Input:
        """Return what people see of an input."""
        upright = given.get("upright", str(self._default("upright", True))).lower() == "true"
        picture = pictures.of_file(upload.path, upright=upright)
        is_array = upload.name.endswith(".npy")
        if picture is None or (is_array and self.word == "mask"):
            picture = self._own_picture(upload) or picture
        size = pictures.original_size(upload.path)
        if size and picture and (size[0] > size[1]) != (picture.width > picture.height):
            size = size[::-1]
        threshold = given.get("threshold", self._default("threshold", None))
        return Input(picture, size, 0.5 if threshold is None else float(threshold))

    def _own_picture(self, upload: Upload) -> Any:
        """Have the model draw an input that nobody else can read, and nothing over it."""
        if "opacity" not in self.parameters or "image/png" not in self.produces:
            return None
        _, reply = self.ask(upload, "image/png", {"opacity": "0"})
        return None if reply.problem else pictures.limited(pictures.of_bytes(reply.body))

    def _default(self, name: str, otherwise: Any) -> Any:
        return self.parameters.get(name, {}).get("default", otherwise)


def _schemas(said: Mapping[str, Any]) -> Mapping[str, Schema]:
    found: Mapping[str, Schema] = said.get("parameters", {}).get("properties", {})
    return found


def room(connection: Connection, offer: Offer) -> None:
    """Add a version's part of the page to the Blocks that is open."""
    this = Room(connection, offer)
    with gr.Row():
        with gr.Column(min_width=NARROWEST):
            gr.HTML(_heading(offer))
            given = _input(this)
            form = _form(this.parameters, this.key)
            accept = gr.Dropdown(
                [AS_SHOWN, *this.produces],
                value=AS_SHOWN,
                label="Type of the answer",
                interactive=True,
                visible=bool(this.produces),
            )
            button = gr.Button("Ask", variant="primary", elem_id="mq-ask")
            why = _why(this)
        with gr.Column(min_width=NARROWEST, elem_id="mq-outputs"):
            outputs = _outputs(this)
    _sample_button(this, given, form)
    button.click(
        lambda value, accept, *values: _answered(this, value, accept, form.texts(values)),
        [given.field, accept, *form.components],
        [outputs.tabs, outputs.details, outputs.answer, outputs.file, outputs.code],
        **PRIVATE,
    ).then(None, js=INTO_VIEW, **PRIVATE)
    if why is not None:
        _wire_why(this, given, why, outputs)
    with gr.Accordion("Several files at once", open=False):
        _several(this, accept, form)


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


@dataclass(frozen=True)
class Given:
    """The field for the input, and the button for the sample; None where there is none."""

    field: gr.components.Component
    button: gr.Button | None


def _input(this: Room) -> Given:
    field: gr.components.Component
    if this.reads_pictures:
        field = photo(
            label="Picture",
            height=300,
            alt_text="The picture that is asked about",
            buttons=["fullscreen"],
            elem_id="mq-input",
            key=this.key,
        )
    else:
        kinds = ", ".join(this.consumes)
        field = gr.File(label=f"File ({kinds})", height=140, elem_id="mq-input", key=this.key)
    button = None
    if this.sample is not None:
        button = gr.Button("Take the sample", size="sm", elem_id="mq-sample")
    return Given(field, button)


def _form(schemas: Mapping[str, Schema], key: str) -> Form:
    if not schemas:
        return Form({}, [])
    with gr.Accordion("Parameters", open=len(schemas) <= 3):
        made = [fields.component(name, schema, key) for name, schema in schemas.items()]
    return Form(schemas, made)


def _sample_button(this: Room, given: Given, form: Form) -> None:
    sample = this.sample
    if given.button is None or sample is None:
        return
    name = Path(sample.name).name

    def take() -> list[Any]:
        path = _kept(sample.body, name)
        filled = [
            fields.filled(schema, sample.parameters[name])
            if name in sample.parameters
            else gr.skip()
            for name, schema in form.schemas.items()
        ]
        return [path, *filled]

    given.button.click(take, None, [given.field, *form.components], **PRIVATE)


@dataclass(frozen=True)
class Outputs:
    """Where answers go."""

    tabs: gr.Tabs
    details: gr.HTML
    answer: gr.HTML
    file: gr.DownloadButton
    why: gr.HTML
    code: gr.HTML


def _outputs(this: Room) -> Outputs:
    with gr.Tabs(selected="answer") as tabs:
        with gr.Tab("Answer", id="answer"):
            answer = gr.HTML(EMPTY, elem_id="mq-answer")
            details = gr.HTML(elem_id="mq-details")
            file = gr.DownloadButton("Download the answer", interactive=False, size="sm")
        with gr.Tab("Why", id="why", visible=this.explained is not None):
            why = gr.HTML(EMPTY, elem_id="mq-why")
        with gr.Tab("Code", id="code"):
            code = gr.HTML(html.render("code", snippets=[]), elem_id="mq-code")
    return Outputs(tabs, details, answer, file, why, code)


def _answered(this: Room, value: Any, accept: str, given: Mapping[str, str]) -> list[Any]:
    """Ask, and return what the outputs show."""
    upload = of_field(value)
    if upload is None:
        return [
            gr.Tabs(selected="answer"),
            _problem("choose a file first, or take the sample"),
            EMPTY,
            gr.DownloadButton(interactive=False),
            gr.skip(),
        ]
    question, reply = this.ask(upload, accept, given)
    code = _code(this, question, reply.content_type if not reply.problem else "")
    if reply.problem:
        return [gr.Tabs(selected="answer"), _details(reply), "", _download(None), code]
    word = this.word if accept == AS_SHOWN else None
    shown = shows.shown(word, reply.content_type, reply.body, this.seen(upload, given))
    return [
        gr.Tabs(selected="answer"),
        _details(reply),
        shown,
        _download(_saved(this, upload, reply)),
        code,
    ]


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


def _problem(text: str) -> str:
    return _details(Reply(text))


def _saved(this: Room, upload: Upload, reply: Reply) -> str:
    name = f"{Path(upload.name).stem}-{this.offer.model}{suffix_of(reply.content_type) or '.bin'}"
    return _kept(reply.body, name)


def _kept(content: bytes, name: str) -> str:
    """Keep a file where the page finds it, until Gradio removes it."""
    return str(processing_utils.save_bytes_to_cache(content, name, utils.get_upload_folder()))


def _download(path: str | None) -> gr.DownloadButton:
    return gr.DownloadButton(value=path, interactive=path is not None)


def _code(this: Room, question: Question, answer: str) -> str:
    name = samples.named(this.sample, question.file, question.name)
    shown = snippets.of(this.connection, replace(question, name=name), answer)
    texts = (snippets.curl(shown), snippets.python(shown), snippets.javascript(shown))
    return html.render("code", snippets=list(zip(NAMES, texts, strict=True)))


# Why


@dataclass(frozen=True)
class Why:
    """The form of an explanation."""

    form: Form
    button: gr.Button


def _why(this: Room) -> Why | None:
    if this.explained is None:
        return None
    with gr.Accordion("Why this answer?", open=False, elem_id="mq-why-form"):
        schemas = _schemas(this.explained)
        key = f"why {this.key}"
        made = [fields.component(name, schema, key) for name, schema in schemas.items()]
        button = gr.Button("Explain", elem_id="mq-explain")
    return Why(Form(schemas, made), button)


def _wire_why(this: Room, given: Given, why: Why, outputs: Outputs) -> None:
    def explained(value: Any, *values: Any) -> list[Any]:
        upload = of_field(value)
        if upload is None:
            return [gr.Tabs(selected="why"), _problem("choose a file first, or take the sample")]
        texts = why.form.texts(values)
        _, reply = this.explain(upload, texts)
        heat = ""
        if not reply.problem:
            heat = explanation.shown(reply.content_type, reply.body, this.seen(upload, texts))
        return [gr.Tabs(selected="why"), heat + _details(reply)]

    why.button.click(
        explained,
        [given.field, *why.form.components],
        [outputs.tabs, outputs.why],
        **PRIVATE,
    ).then(None, js=INTO_VIEW, **PRIVATE)


# Several files


def _several(this: Room, accept: gr.Dropdown, form: Form) -> None:
    field = gr.File(file_count="multiple", label="Files", height=140, elem_id="mq-files")
    button = gr.Button("Ask about all of them", elem_id="mq-ask-all")
    gallery = gr.HTML(elem_id="mq-gallery")

    def all_of_them(values: Any, accept: str, *parameters: Any) -> Iterator[str]:
        uploads = [upload for upload in map(of_field, values or []) if upload]
        if not uploads:
            yield _problem("choose some files first")
            return
        texts = form.texts(parameters)
        yield from several.answers(
            uploads,
            lambda upload: this.ask(upload, accept, texts)[1],
            this.word if accept == AS_SHOWN else None,
        )

    button.click(all_of_them, [field, accept, *form.components], gallery, **PRIVATE)
