"""The fields of a question: the input, in one of several ways, and the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from marquee.studio import fields
from marquee.studio.fields import Schema
from marquee.studio.subject import Subject
from marquee.studio.upload import Upload, kept, of_field, photo, typed

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


def form(schemas: Mapping[str, Schema], key: str) -> Form:
    """Add a field for each parameter."""
    return Form(schemas, [fields.component(name, one, key) for name, one in schemas.items()])


@dataclass(frozen=True)
class Given:
    """The ways to give an input; the last of them that holds something counts.

    Attributes:
        components: a field for pictures or files, one for other files, one for text.
        sample: the button that takes the archive's; None where there is none.
    """

    components: Sequence[gr.components.Component]
    sample: gr.Button | None

    def upload(self, values: Sequence[Any]) -> Upload | None:
        """Return what was given; None where nothing was."""
        found = [
            typed(value) if isinstance(field, gr.Textbox) else of_field(value)
            for field, value in zip(self.components, values, strict=True)
        ]
        return next(filter(None, reversed(found)), None)


def given(subject: Subject) -> Given:
    """Add the fields for an input: of pictures, of files, and of text where nothing is declared."""
    ways: list[gr.components.Component] = []
    kinds = ", ".join(subject.other_kinds)
    if subject.reads_pictures:
        ways.append(_picture(subject))
    else:
        ways.append(_file(f"File ({kinds})", "mq-input", subject))
    sample = None
    if subject.sample is not None:
        sample = gr.Button("Take the sample", size="sm", elem_id="mq-sample")
    if subject.reads_pictures and kinds:
        with gr.Accordion(f"Or another file ({kinds})", open=False):
            ways.append(_file("File", "mq-other", subject))
    if not subject.offer.known:
        ways.append(gr.Textbox(label="Or text, such as JSON", lines=3, key=f"{subject.key} text"))
    return Given(ways, sample)


def _picture(subject: Subject) -> gr.Image:
    return photo(
        label="Picture",
        height=300,
        alt_text="The picture that is asked about",
        buttons=["fullscreen"],
        elem_id="mq-input",
        key=f"{subject.key} picture",
    )


def _file(label: str, name: str, subject: Subject) -> gr.File:
    return gr.File(label=label, height=140, elem_id=name, key=f"{subject.key} {name}")


def take_samples(subject: Subject, given: Given, form: Form) -> None:
    """Have the button fill in the sample, and the parameters that it needs."""
    sample = subject.sample
    if given.sample is None or sample is None:
        return
    texts = sample.parameters

    def take() -> list[Any]:
        path = kept(sample.body, Path(sample.name).name)
        others = [None] * (len(given.components) - 1)
        filled = [
            fields.filled(schema, texts[name]) if name in texts else gr.skip()
            for name, schema in form.schemas.items()
        ]
        return [path, *others, *filled]

    given.sample.click(take, None, [*given.components, *form.components], **PRIVATE)
