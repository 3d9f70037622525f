"""Archives of SageMaker model folders: any ``inference.py`` by the adapter in handlers/script."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import model_folder, requirements, rooms, sources
from marquee.archives.build import (
    Built,
    digest_of,
    run_archiver,
    try_out,
)
from marquee.archives.manifest import rule_broken
from marquee.archives.normalise import normalise
from marquee.archives.store import StoreRecord
from marquee.errors import MarqueeError
from marquee.project import Project

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


def build(project: Project, source: ScriptSource, *, force: bool = False) -> Built:
    """Bring one archive up to date: build it, load it once, and put it into the store.

    Raises:
        MarqueeError: something is missing or unsafe, or the model does not load or fails on
            its example.
    """
    _check_names(project, source)
    with tempfile.TemporaryDirectory(prefix="marquee-") as scratch:
        work = Path(scratch)
        is_folder = source.path.is_dir()
        if not is_folder and not source.path.is_file():
            raise MarqueeError(f"{source.path} is neither a folder nor a model.tar.gz")
        folder = source.path if is_folder else model_folder.unpack(source.path, work / "model")
        folder = model_folder.root(folder, source.program, source.path)
        return _build(project, source, folder, work, force=force)


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
    project: Project, source: ScriptSource, folder: Path, work: Path, *, force: bool
) -> Built:
    script = model_folder.check(folder, source.program, source.path)
    asked = folder / model_folder.CODE / REQUIREMENTS
    if asked.is_file() and not source.skip_requirements:
        requirements.check(asked)
    text = yaml.safe_dump(config(project, source, script), sort_keys=True)
    handler = project.handlers / "script" / "handler.py"
    contents = _contents(project, handler, source, folder)
    project.model_store.mkdir(parents=True, exist_ok=True)
    record = StoreRecord(project.model_store)
    digest = _digest(source, text, contents | {"handler.py": handler}, record)
    path = project.model_store / source.archive_name
    known = record.sha256(path, digest)
    if known and not force:
        return Built(path, known, digest, fresh=False)
    arguments: dict[str, str | Path] = {
        "--model-name": source.name,
        "--version": source.version,
        "--handler": handler,
        "--config-file": work / "model-config.yaml",
    }
    (work / "model-config.yaml").write_text(text)
    if asked.is_file():
        arguments["--requirements-file"] = asked
    plain = run_archiver(arguments, contents, work)
    tried = try_out(plain, work)
    if tried.problem is not None:
        told = tried.problem.replace(str(work / "unpacked" / FOLDER), str(source.path))
        raise MarqueeError(f"{source.name} {source.version} does not load: {told}")
    sha256 = normalise(plain, tried.made, path, {"digest": digest})
    record.add(path, digest, sha256)
    record.save()
    return Built(path, sha256, digest, fresh=True)


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


def _contents(
    project: Project, handler: Path, source: ScriptSource, folder: Path
) -> dict[str, Path]:
    """Return archive name -> file of everything but handler.py and what is computed."""
    ours = {
        path.relative_to(project.root).as_posix(): path
        for path in sources.needed(project.root, handler)
    }
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
