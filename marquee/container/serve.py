"""``serve``: what the model folder holds, behind the front door, until SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import FrameType

from marquee.container import contents, control, devices, packages, unpacked, variables, workspace
from marquee.container.contents import Contents
from marquee.container.multimodel import MultiModel
from marquee.container.unpacked import Stored
from marquee.container.variables import Settings, Variables
from marquee.errors import MarqueeError
from marquee.front import origins
from marquee.front.process import folder_of
from marquee.front.settings import FrontSettings
from marquee.project import Project
from marquee.serving.door import Door
from marquee.torchserve import envelope, preflight, server
from marquee.torchserve.lastwords import last_words
from marquee.torchserve.readiness import Prober, Readiness
from marquee.torchserve.server import Server

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
# SageMaker's longest request: an asynchronous one.
LONGEST_SECONDS = 3600
# What rotifer's old clients look for in the answer to /ping.
PONG = {"rotifer": {"data": "pong!"}}
# Which web pages may ask a model, where the variable does not say: rotifer's old backend took all.
ORIGINS = {"rotifer": (origins.ANY,)}


class _Stop(Exception):
    """SIGTERM or SIGINT arrived."""


class _Alive(Prober):
    """Says of a multi-model server whether it takes models; each one is its caller's affair."""

    def check(self, wanted: object = None) -> Readiness:
        """Return that nothing is missing, if TorchServe answers."""
        self._api.models()
        return Readiness({})


def run(found: Variables) -> int:
    """Serve until told to stop; return the exit code: 0 after a stop, 1 if the server died.

    Raises:
        MarqueeError: why it does not start, or what ended it.
    """
    started = time.monotonic()
    settings = found.settings
    project = prepare(found)
    stored = [] if settings.multi_model else fill(project, settings)
    preflight.check_ports(project.properties, _port_variable)
    preflight.check_disk(project)
    door = Door(
        project,
        front_settings(project, settings, stored),
        log=logging.getLogger("front"),
        prober=_Alive if settings.multi_model else Prober,
        canaries=False,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    try:
        running = _start(project, settings, door)
        log.info("Ready on port %d after %.1f s", settings.port, time.monotonic() - started)
        return _watch(running, door)
    except _Stop:
        return 0
    finally:
        _stop(project, door)


def _port_variable(name: str) -> str:
    """Return what sets a port of the container's, by TorchServe's name for it."""
    outer = name == "inference_address"
    return "SAGEMAKER_BIND_TO_PORT" if outer else "SAGEMAKER_SAFE_PORT_RANGE"


def longest(stored: list[Stored], settings: Settings) -> int:
    """Return the seconds after which TorchServe ends a request of the slowest model."""
    own = [unpacked.response_timeout(model.path) for model in stored]
    return settings.response_timeout or max(own, default=unpacked.RESPONSE_TIMEOUT)


def _start(project: Project, settings: Settings, door: Door) -> Server:
    """Start everything; return when every model has answered."""
    started = server.start(project, door.prepare(), nullcontext(sys.stdout))
    # The files end with the container; what is in them has been printed.
    running = replace(started, printed="what is printed before this line")
    door.open(lambda: running.alive)
    if settings.multi_model and door.settings.models_socket is not None:
        models = MultiModel(project, settings, door.management(), door.haproxy)
        control.start(models, door.settings.models_socket)
    running.wait_ready(_loaded, door.management())
    door.wait_ready()
    return running


def _stop(project: Project, door: Door) -> None:
    """Answer what is in flight, then end everything."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # another one must not cut the stop short
    log.info("Stopping")

    def told(count: int) -> None:
        log.info("%d requests in flight are answered", count)

    # The platform has SIGKILL for more haste.
    cut_off = door.close(told, lambda: False)
    if cut_off:
        log.warning("%d requests were cut off: they took too long", cut_off)
    server.stop(project)
    log.info("Stopped")


def prepare(found: Variables) -> Project:
    """Make the project, and leave in the environment what TorchServe and its workers may see."""
    kept = variables.without_ours(os.environ) | devices.variables(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    project = workspace.make(found.settings)
    os.environ.update(workspace.environment(project))
    return project


def fill(project: Project, settings: Settings) -> list[Stored]:
    """Put everything of the model folder into the store; what cannot be served is passed over.

    Raises:
        MarqueeError: there is nothing that can be served, or a script that cannot.
    """
    folder = settings.model_dir
    found = contents.find(folder, settings.program, settings.code_dir)
    stored, problems = _archives(project, found, unpacked.overrides(settings))
    if found.script is not None:
        if found.script != folder:
            settings = replace(settings, code_dir=None)  # it was told of the folder above
        packages.install(found.script, settings, project.root / "packages")
        stored.append(unpacked.add_script(project, found.script, settings))
    if not stored:
        raise MarqueeError("; ".join(problems))
    for note in [*found.notes, *problems]:
        log.warning("Warning: %s", note)
    envelope.check(project, (model.path for model in stored))
    _check_default(settings, stored)
    return stored


def _archives(
    project: Project, found: Contents, wanted: Mapping[str, int]
) -> tuple[list[Stored], list[str]]:
    """Store what can be; return it, and a sentence for each archive that cannot."""
    stored, problems = [], []
    for archive in found.archives:
        try:
            stored.append(unpacked.add_archive(archive.path, project.model_store, wanted))
        except (MarqueeError, OSError) as error:
            problems.append(f"{archive.path} is not served: {error}")
    return stored, problems


def _check_default(settings: Settings, stored: list[Stored]) -> None:
    names = sorted({model.name for model in stored})
    if settings.default_model is not None and settings.default_model not in names:
        raise MarqueeError(
            f"SAGEMAKER_DEFAULT_MODEL is {settings.default_model!r}; the models in "
            f"{settings.model_dir} are {', '.join(names)}"
        )


def front_settings(project: Project, settings: Settings, stored: list[Stored]) -> FrontSettings:
    """Return how the door is in the container: open to whoever reaches the port."""
    folder = folder_of(project)
    names = {model.name for model in stored}
    default = settings.default_model or (names.pop() if len(names) == 1 else None)
    allowed = settings.allowed_origins
    return FrontSettings(
        folder=folder,
        inference_address=project.properties["inference_address"],
        key_file=project.key_file,
        open_to_all=True,
        default_model=default,
        max_request_size=int(project.properties["max_request_size"]),
        request_timeout=LONGEST_SECONDS,
        drain_timeout=2 * longest(stored, settings),
        ready_when_empty=settings.multi_model,
        models_socket=folder / "models.sock" if settings.multi_model else None,
        ping_fields=PONG.get(default or "", {}),
        allowed_origins=ORIGINS.get(default or "", ()) if allowed is None else allowed,
    )


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _loaded(model: tuple[str, str]) -> None:
    log.info("Loaded %s %s", *model)


def _watch(running: Server, door: Door) -> int:
    """Keep the door open until the server ends."""
    while running.alive:
        if not door.check():
            return 0  # stopped from elsewhere
        time.sleep(WATCH_SECONDS)
    if door.haproxy.closing or running.end_is_wanted:
        return 0
    raise MarqueeError(f"TorchServe ended by itself: {last_words(running.project)}")
