"""Archives of SageMaker model folders: any ``inference.py`` by the adapter in handlers/script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import model_folder, requirements, rooms, sources
from marquee.archives.build import BuiltArchive, digest_of, run_archiver, try_and_store
from marquee.archives.manifest import rule_broken
from marquee.archives.store import StoreRecord
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.scratch import scratch

# Where the model folder lies in the archive; handlers.script.handler.FOLDER.
FOLDER = "sagemaker"
REQUIREMENTS = "requirements.txt"
# For scripts whose requests may be predicted together; else a batch only makes its first wait.
BATCH_SIZE = 8
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class ScriptSource:
    """What an archive is made from.

    Attributes:
        path: the model folder, or a model.tar.gz.
        name, version: of the model.
        program: the script's file name, where it is not ``inference.py``.
        example: a request body; the model is warmed up and checked with it.
        example_type: its media type, where its file's name does not tell.
        stack: ``auto``, ``always`` or ``never``; see docs/script.md.
        batch_size: requests a worker gets at once; None chooses by the script's functions.
        skip_requirements: do not compare ``code/requirements.txt`` with this environment.
    """

    path: Path
    name: str
    version: str = "1.0"
    program: str | None = None
    example: Path | None = None
    example_type: str | None = None
    stack: str = "auto"
    batch_size: int | None = None
    skip_requirements: bool = False

    @property
    def archive_name(self) -> str:
        """The archive's file name."""
        return f"{self.name}-{self.version}.mar"


def build(project: Project, source: ScriptSource, *, force: bool = False) -> BuiltArchive:
    """Bring one archive up to date: build it, load it once, and put it into the store.

    Raises:
        MarqueeError: something is missing or unsafe, or the model does not load or fails on
            its example.
    """
    _check_names(project, source)
    with scratch() as work:
        folder, script = model_folder.read(source.path, source.program, work / "model")
        text = yaml.safe_dump(config(project, source, script), sort_keys=True)
        return _build(project, source, folder, text, work, force=force)


def _check_names(project: Project, source: ScriptSource) -> None:
    for what, value in (("name", source.name), ("version", source.version)):
        problem = rule_broken(what, value)
        if problem is not None:
            raise MarqueeError(problem)
    if source.name in rooms.names(project):
        raise MarqueeError(f"'{source.name}' is one of the project's own models; choose another")
    if source.example is not None and not source.example.is_file():
        raise MarqueeError(f"there is no example {source.example}")
    if source.example_type is not None and source.example is None:
        raise MarqueeError(f"--example-type {source.example_type} needs the file: --example FILE")


def _build(
    project: Project, source: ScriptSource, folder: Path, text: str, work: Path, *, force: bool
) -> BuiltArchive:
    required = folder / model_folder.CODE / REQUIREMENTS
    if required.is_file() and not source.skip_requirements:
        requirements.check(required)
    contents = _contents(project, source, folder)
    project.model_store.mkdir(parents=True, exist_ok=True)
    record = StoreRecord(project.model_store)
    digest = _digest(source, text, contents, record)
    target = project.model_store / source.archive_name
    known = record.sha256(target, digest)
    if known and not force:
        return BuiltArchive(target, known, fresh=False)
    more = ("--requirements-file", required) if required.is_file() else ()
    plain = run_archiver(source.name, source.version, text, contents, work, *more)
    title, origin = f"{source.name} {source.version}", (FOLDER, source.path)
    return try_and_store(plain, target, {"digest": digest}, record, title=title, source=origin)


def config(project: Project, source: ScriptSource, script: Path | None) -> dict[str, Any]:
    """Return the archive's model-config.yaml; ``script`` as :func:`model_folder.check` gave it."""
    own = set() if script is None else model_folder.defined(script)
    one_by_one = own & {"input_fn", "predict_fn", "transform_fn"} and source.stack != "always"
    options = {"stack": source.stack}
    if source.program is not None:
        options["program"] = source.program
    if source.example_type is not None:
        options["example_type"] = source.example_type
    return {
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": source.batch_size or (1 if one_by_one else BATCH_SIZE),
        "maxBatchDelay": 1,
        "responseTimeout": rooms.timeout_override(project) or TIMEOUT_SECONDS,
        "startupTimeout": TIMEOUT_SECONDS,
        "marquee": {"version": source.version, "options": options},
    }


def _contents(project: Project, source: ScriptSource, folder: Path) -> dict[str, Path]:
    """Return archive name -> file of everything but what is computed."""
    handler = project.handlers / "script" / "handler.py"
    ours = sources.needed(project.root, handler) | {"handler.py": handler}
    theirs = {f"{FOLDER}/{name}": path for name, path in model_folder.files(folder).items()}
    example = {} if source.example is None else {f"example{source.example.suffix}": source.example}
    return ours | theirs | example


def _digest(
    source: ScriptSource, text: str, contents: Mapping[str, Path], record: StoreRecord
) -> str:
    """Digest a model.tar.gz as one file: where it was unpacked this time is not remembered."""
    kept = dict(contents)
    if not source.path.is_dir():
        kept = {name: path for name, path in kept.items() if not name.startswith(f"{FOLDER}/")}
        kept[FOLDER] = source.path
    return digest_of([source.name, source.version, text], kept, record)
