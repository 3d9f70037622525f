"""The tab "Jobs": a file goes to an asynchronous pipeline, and its results come back some time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils, utils

from marquee.errors import MarqueeError
from marquee.media import HEAD, type_of_bytes
from marquee.project import Project
from marquee.studio import pipelines, tables
from marquee.studio.connection import Connection
from marquee.studio.html import render
from marquee.studio.pipelines import Pipeline, Result, State
from marquee.studio.ties import LOOKS, QUIETLY, READ_OUT, open_tab, seen, ticking

HERE, AWS = "This machine's cloud", "AWS"
LOOK_SECONDS = 1.0
NOT_FOR_ALL = (
    "Jobs go to the cloud of the studio's machine, or to the AWS account that is configured on it: "
    "they are for whoever sits there. Start `marquee studio` in the project's folder, without "
    "`--share-on-lan` and without `--url`."
)


@dataclass(frozen=True)
class Job:
    """A job of this page.

    Attributes:
        name: of its file.
        where: its pipeline, as people call it.
        pipeline, key: who is asked for it, and what for.
        state: how it was when it was looked at last.
        began: when it was submitted, by the clock that only goes forward.
        took: seconds until it was over; None before.
    """

    name: str
    where: str
    pipeline: Pipeline
    key: Any
    state: State = field(default_factory=lambda: State("waiting"))
    began: float = field(default_factory=time.monotonic)
    took: float | None = None

    def looked(self) -> Job:
        """Return the job as it is now."""
        if self.state.over:
            return self
        try:
            state = self.pipeline.look(self.key)
        except MarqueeError as error:
            return replace(self, state=replace(self.state, reason=str(error)))
        took = time.monotonic() - self.began if state.over else None
        return replace(self, state=state, took=took)


def tab(connection: Connection) -> None:
    """Add the tab's components to the Blocks that is open."""
    if connection.management is None or connection.project is None:
        gr.Markdown(NOT_FOR_ALL)
    else:
        _Jobs(connection.project).build()


class _Jobs:
    """The tab's components, and what they do. The jobs are the session's own."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def build(self) -> None:
        """Add the components, and tie them to what they do."""
        self._offers, self._jobs = gr.State({}), gr.State([])
        self._seen = gr.Checkbox(visible=False)
        with gr.Column(elem_id="jobs"):
            self._where = gr.Radio([HERE, AWS], value=HERE, label="Where")
            with gr.Row(visible=False) as self._account:
                self._region = gr.Textbox(label="Region", info="AWS's own where empty.")
                self._profile = gr.Textbox(label="Profile", info="The usual one where empty.")
            self._pipeline = gr.Dropdown([], label="Pipeline")
            self._file = gr.File(label="File")
            self._parameters = gr.Textbox(
                label="Parameters",
                info="NAME=VALUE, one a line, such as align=false; the pipeline's own where empty.",
                lines=2,
            )
            submit = gr.Button("Submit", variant="primary")
            self._said = gr.HTML(js_on_load=READ_OUT, **LOOKS)
            self._table = gr.HTML(js_on_load=READ_OUT, **LOOKS)
            self._pictures = gr.Gallery(
                label="Pictures",
                visible=False,
                preview=True,
                height="28rem",
                object_fit="contain",
                buttons=["download", "fullscreen"],  # and none that sends them elsewhere
            )
            self._files = gr.Files(label="Results", visible=False, interactive=False)
        self._tie(submit)

    def _tie(self, submit: gr.Button) -> None:
        tab = open_tab()
        timer = ticking(tab, LOOK_SECONDS)
        slowly = QUIETLY | {"show_progress": "minimal", "show_progress_on": self._pipeline}
        asked = [self._where, self._region, self._profile]
        listed = [self._offers, self._pipeline, self._said]
        gr.on(
            [tab.select, self._where.input, self._region.submit, self._profile.submit],
            self._list,
            asked,
            [*listed, self._account],
            **slowly,
        )
        submit.click(
            self._submit,
            [self._offers, self._pipeline, self._file, self._parameters, self._jobs],
            [self._jobs, self._said, self._table],
            **slowly,
        )
        shown = [self._jobs, self._table, self._pictures, self._files]
        timer.tick(self._look, [self._seen, self._jobs], shown, js=seen("jobs"), **QUIETLY)

    def _list(
        self, where: str, region: str, profile: str
    ) -> tuple[dict[str, Pipeline], gr.Dropdown, str, gr.Row]:
        """Return the pipelines that there are, or why there are none."""
        said, found = "", {}
        try:
            if where == HERE:
                found = pipelines.of_local_cloud(self._project)
            else:
                found = pipelines.of_aws(region.strip() or None, profile.strip() or None)
        except MarqueeError as error:
            said = tables.refused(str(error))
        choices = gr.Dropdown(choices=[*found], value=next(iter(found), None))
        return found, choices, said, gr.Row(visible=where == AWS)

    def _submit(
        self,
        offers: dict[str, Pipeline],
        where: str | None,
        file: str | None,
        parameters: str,
        jobs: list[Job],
    ) -> tuple[list[Job], str, str]:
        """Send a file, and list the job."""
        try:
            job = _submitted(offers, where, file, parameters)
        except MarqueeError as error:
            return jobs, tables.refused(str(error)), _listed(jobs)
        jobs = [job, *jobs]
        return jobs, tables.paragraph(f"{job.name} is sent."), _listed(jobs)

    def _look(self, looked: bool, jobs: list[Job]) -> list[Any]:
        """Look at the jobs that are not over; show what the one that ended last has made."""
        if not looked or all(job.state.over for job in jobs):
            return [gr.skip()] * 4
        after = [job.looked() for job in jobs]
        over = [new for old, new in zip(jobs, after, strict=True) if new.state.over and old != new]
        made = over[0].state.results if over else ()
        if not made:
            return [after, _listed(after), gr.skip(), gr.skip()]
        try:
            paths = [_kept(one) for one in made]
        except MarqueeError as error:
            return [after, _listed(after) + tables.refused(str(error)), gr.skip(), gr.skip()]
        pictures = [path for path in paths if _is_picture(path)]
        gallery = gr.Gallery(value=pictures, visible=bool(pictures))
        return [after, _listed(after), gallery, gr.Files(value=paths, visible=True)]


def _submitted(
    offers: dict[str, Pipeline], where: str | None, file: str | None, parameters: str
) -> Job:
    if where is None or where not in offers:
        raise MarqueeError("choose a pipeline first; there is none as long as no cloud is up")
    if file is None:
        raise MarqueeError("choose a file first")
    path, pipeline = Path(file), offers[where]
    return Job(path.name, where, pipeline, pipeline.submit(path, _pairs(parameters)))


def _pairs(text: str) -> dict[str, str]:
    """Read NAME=VALUE lines."""
    split = [line.partition("=") for line in text.splitlines() if line.strip()]
    for name, equals, value in split:
        if not name.strip() or not equals:
            raise MarqueeError(f"{name + equals + value!r} is not NAME=VALUE, such as align=false")
    return {name.strip(): value.strip() for name, _, value in split}


def _listed(jobs: Sequence[Job]) -> str:
    """Return the jobs as a table, with links to what they have made."""
    if not jobs:
        return ""
    heads = ["FILE", "PIPELINE", "STATE", "TOOK", "WHY"]
    rows = ([one.name, one.where, one.state.word, _took(one), one.state.reason] for one in jobs)
    return tables.table("Jobs of this page", heads, rows) + render("links", jobs=jobs)


def _took(job: Job) -> str:
    return "-" if job.took is None else f"{job.took:.1f} s"


def _kept(result: Result) -> str:
    """Return the path of a result's copy, which Gradio serves and removes."""
    data = pipelines.fetch(result)
    return str(processing_utils.save_bytes_to_cache(data, result.name, utils.get_upload_folder()))


def _is_picture(path: str) -> bool:
    with Path(path).open("rb") as file:
        kind = type_of_bytes(file.read(HEAD))
    return kind in ("image/jpeg", "image/png", "image/webp")
