"""``train``: SageMaker's training contract around the ``train.py`` of a room.

The training runs in a process of its own. What it wrote is made into an archive beside it, so
that the model folder can be served at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from marquee.archives import build as archive
from marquee.archives import rooms
from marquee.archives.rooms import Training
from marquee.container import gpu, identity, workspace
from marquee.container.job import Job
from marquee.container.variables import ContainerSettings
from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.project import Project

log = logging.getLogger(__name__)

# Of the archive that is made of the weights.
VERSION = "1.0"
STOPPED = 128 + signal.SIGTERM
# SageMaker shows the first 1024 characters.
REASON_LENGTH = 1024


def run(settings: ContainerSettings) -> int:
    """Train as the job's files say; return its exit code: 0, 1 for a failure, 143 when stopped."""
    job = Job(settings.base_dir)
    try:
        identity.step_down(os.environ, job.written)
        check_writable(job)
        log.info(gpu.check(os.environ, gpu.present()))
        training = _training()
        code = train(job, training)
        if (job.model / training.weights).is_file():
            log.info("the model can be served: %s", pack(job.model, training))
    except (MarqueeError, OSError) as error:
        log.error("Error: %s", error)  # noqa: TRY400 - the message says it all
        write_failure(job, str(error))
        return 1
    return code


def _training() -> Training:
    trainings = rooms.trainings(Project(workspace.HOME))
    if len(trainings) != 1:
        names = ", ".join(training.room for training in trainings) or "none"
        raise MarqueeError(
            f"the rooms of this image that say how they are trained are: {names}; expected one "
            f"handlers/NAME/{rooms.CONTAINER_NAME} with train:"
        )
    return trainings[0]


def check_writable(job: Job) -> None:
    """Refuse a job whose results could not be written, or of several instances, early."""
    for folder in (job.model, job.output):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise MarqueeError(
                f"{folder} cannot be written to by user {os.getuid()} ({error.strerror}); give it "
                "to that user, or start the container as root (docker run --user root, or an image "
                "that docker/build_and_push.sh has made), which then gives it to that user itself"
            ) from error
    if len(job.hosts()) > 1:
        raise MarqueeError(
            f"the job has {len(job.hosts())} instances; this training runs on one: set the "
            "instance count to 1"
        )


def train(job: Job, training: Training) -> int:
    """Run the training until it ends; return its exit code, 0 or 143 when it was stopped.

    SIGTERM goes on to it: it saves a checkpoint and ends.

    Raises:
        MarqueeError: it failed; says what it wrote last.
    """
    variables = os.environ | job.variables()
    module = f"handlers.{training.room}.train"
    command = [sys.executable, "-m", module, *job.arguments(training.data)]
    log.info("training: %s", " ".join(command[2:]))
    process = subprocess.Popen(
        command, env=variables, cwd=workspace.HOME, stderr=subprocess.PIPE, text=True
    )
    last: deque[str] = deque(maxlen=20)
    with _forwarding(process):
        for line in process.stderr or ():
            sys.stderr.write(line)
            last.append(line)
        code = process.wait()
    if code not in (0, STOPPED):
        raise MarqueeError(_reason(code, "".join(last)))
    return code


@contextmanager
def _forwarding(process: subprocess.Popen[str]) -> Iterator[None]:
    def forward(number: int, _frame: object) -> None:
        process.send_signal(number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(code: int, last: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; out of memory, most likely: take a larger instance" if code == -9 else ""
        return f"the training was ended by {name}{hint}"
    return f"the training failed: {(last.strip() or 'it said nothing').splitlines()[-1]}"


def write_failure(job: Job, reason: str) -> None:
    """Leave the reason where SageMaker reads it; that it cannot be left is only logged."""
    try:
        job.output.mkdir(parents=True, exist_ok=True)
        (job.output / "failure").write_text(reason[:REASON_LENGTH])
    except OSError as error:
        log.error("%s cannot be written: %s", job.output / "failure", error)  # noqa: TRY400


def pack(folder: Path, training: Training) -> Path:
    """Make an archive of the trained weights in ``folder``, beside them.

    Raises:
        MarqueeError: the model does not load or does not answer its example.
    """
    project = workspace.make(ContainerSettings(), os.environ, ("runtime",))
    _add_room(project, training)
    weights = project.weights / training.room / VERSION
    weights.mkdir(parents=True)
    (weights / training.weights).symlink_to((folder / training.weights).resolve())
    (model,) = rooms.versions(project, training.room)
    built = archive.build(project, model)
    target = folder / built.path.name
    with replacing(target) as part:
        shutil.copyfile(built.path, part)
    return target


def _add_room(project: Project, training: Training) -> None:
    """Give the project the room of the trained model, with one version: the new one."""
    source, room = workspace.HOME / "handlers" / training.room, project.handlers / training.room
    room.mkdir()
    for path in source.iterdir():
        if path.name not in (rooms.CONFIG_NAME, "demo", "__pycache__"):
            (room / path.name).symlink_to(path)
    config = yaml.safe_load((source / rooms.CONFIG_NAME).read_text())
    versions = {VERSION: {"weights": [training.weights]}}
    config["marquee"] |= {"default": VERSION, "versions": versions}
    (room / rooms.CONFIG_NAME).write_text(yaml.safe_dump(config))
