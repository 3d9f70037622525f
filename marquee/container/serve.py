"""``serve``: what the model folder holds, behind the front door, until SIGTERM."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import IO

from marquee.archives import rooms
from marquee.archives.rooms import InContainer
from marquee.container import batch, contents, control, gpu, identity, packages, workspace
from marquee.container.contents import Contents
from marquee.container.inherited import inherited
from marquee.container.modelstore import RESPONSE_TIMEOUT, SCRIPT_MODEL, ModelStore, StoredModel
from marquee.container.multimodel import MultiModel
from marquee.container.variables import ContainerSettings
from marquee.errors import MarqueeError
from marquee.front.lanes import heap_of
from marquee.front.process import folder_of
from marquee.front.settings import FrontSettings, is_traced
from marquee.project import Project
from marquee.serving.door import Door
from marquee.serving.run import Foreground
from marquee.torchserve import preflight
from marquee.torchserve.loaded import ModelId
from marquee.torchserve.readiness import Prober, Readiness

log = logging.getLogger(__name__)

# SageMaker's longest request: an asynchronous one.
LONGEST_SECONDS = 3600


def run(settings: ContainerSettings) -> None:
    """Serve until told to stop.

    Raises:
        MarqueeError: why it does not start, or what ended it.
    """
    started = time.monotonic()
    identity.step_down(os.environ, ())
    log.info(gpu.check(os.environ, gpu.present()))
    project = workspace.make(settings, inherited(os.environ))
    models = [] if settings.multi_model else fill(project, settings)
    preflight.check_ports(project.properties, _port_variable)
    preflight.check_disk(project)
    door = Door(
        project,
        front_settings(project, settings, models),
        log=logging.getLogger("front"),
        prober=_Alive if settings.multi_model else Prober,
    )
    Container(project, door, settings, started).run()


def _port_variable(name: str) -> str:
    """Return what sets a port of the container's, by TorchServe's name for it."""
    outer = name == "inference_address"
    return "SAGEMAKER_BIND_TO_PORT" if outer else "SAGEMAKER_SAFE_PORT_RANGE"


def fill(project: Project, settings: ContainerSettings) -> list[StoredModel]:
    """Put everything of the model folder into the store; what cannot be served is passed over.

    Raises:
        MarqueeError: there is nothing that can be served, or a script that cannot.
    """
    inside = contents.find(settings.model_dir, settings.program, settings.code_dir)
    store = ModelStore(project, settings)
    models, problems = [], []
    name = _wanted_name(settings, inside)
    for archive in inside.archives:
        try:
            models.append(store.add_archive(archive, name))
        except (MarqueeError, OSError) as error:
            problems.append(f"{archive.path} is not served: {error}")
    if inside.script is not None:
        models.append(store.add_script(inside.script, name or SCRIPT_MODEL))
        packages.provide(inside.script, settings.requirements, project.root)
    if not models:
        raise MarqueeError("; ".join(problems))
    for note in [*inside.notes, *problems]:
        log.warning("Warning: %s", note)
    preflight.check_envelope(project, (model.path for model in models))
    _check_default(settings, models)
    return models


def _wanted_name(settings: ContainerSettings, inside: Contents) -> str | None:
    """Return what the folder's model is to be called; None for what it is called already."""
    name = settings.model_name
    own = {archive.manifest.name for archive in inside.archives}
    own |= set() if inside.script is None else {SCRIPT_MODEL}
    if name is not None and len(own) > 1:
        raise MarqueeError(
            f"MARQUEE_MODEL_NAME is {name!r}, and {settings.model_dir} holds several models "
            f"({', '.join(sorted(own))}); leave it out, or mount one of them alone"
        )
    return None if name in own else name


def _check_default(settings: ContainerSettings, models: Iterable[StoredModel]) -> None:
    names = sorted({model.name for model in models})
    if settings.default_model is not None and settings.default_model not in names:
        raise MarqueeError(
            f"SAGEMAKER_DEFAULT_MODEL is {settings.default_model!r}; the models in "
            f"{settings.model_dir} are {', '.join(names)}"
        )


def front_settings(
    project: Project, settings: ContainerSettings, models: list[StoredModel]
) -> FrontSettings:
    """Return how the door is in the container: open to whoever reaches the port."""
    folder = folder_of(project)
    names = {model.name for model in models}
    default = settings.default_model or (names.pop() if len(names) == 1 else None)
    room = rooms.in_container(Project(workspace.HOME), default) if default else InContainer()
    allowed = settings.allowed_origins
    slowest = max(
        (model.response_timeout for model in models),
        default=settings.response_timeout or RESPONSE_TIMEOUT,
    )
    return FrontSettings(
        folder=folder,
        inference_address=project.properties["inference_address"],
        key_file=project.key_file,
        open_to_all=True,
        default_model=default,
        max_request_size=int(project.properties["max_request_size"]),
        heap=heap_of(project.properties),
        request_timeout=LONGEST_SECONDS,
        drain_timeout=2 * slowest,
        ready_when_empty=settings.multi_model,
        models_socket=folder / "models.sock" if settings.multi_model else None,
        execution_parameters=batch.execution_parameters(settings, models, default),
        ping_fields=room.ping,
        allowed_origins=room.origins if allowed is None else allowed,
        traced=is_traced(project.environ),
    )


class _Alive(Prober):
    """Says of a multi-model server whether it takes models; each one is its caller's affair."""

    def check(self, wanted: object = None) -> Readiness:
        """Return that nothing is missing, if TorchServe answers."""
        self._api.models()
        return Readiness({})


class Container(Foreground):
    """Prints a line for each step to the log."""

    hurries = False  # the platform has SIGKILL for more haste
    printed = "what is printed before this line"  # the files end with the container

    def __init__(
        self, project: Project, door: Door, settings: ContainerSettings, started: float
    ) -> None:
        super().__init__(project, door)
        self._door, self._settings = door, settings
        self._started = started  # on the clock of time.monotonic

    def _output(self) -> AbstractContextManager[IO[str]]:
        return nullcontext(sys.stdout)

    def _opened(self) -> None:
        door = self._door
        if door.settings.models_socket is not None:
            models = MultiModel(self.project, self._settings, door.management(), door.haproxy)
            control.start(models, door.settings.models_socket)

    def _loading(self) -> AbstractContextManager[Callable[[ModelId], None]]:
        return nullcontext(lambda model: self._say(f"Loaded {model[0]} {model[1]}"))

    def _ready(self) -> None:
        seconds = time.monotonic() - self._started
        self._say(f"Ready on port {self._settings.port} after {seconds:.1f} s")

    def _say(self, text: str) -> None:
        log.info(text)
