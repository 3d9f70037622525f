"""Build TorchServe archives: the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from marquee.archives import pack_hook, rooms, sources, trial, unused_weights
from marquee.archives.normalise import epoch, normalise
from marquee.archives.rooms import ModelVersion
from marquee.archives.store import StoreRecord
from marquee.errors import MarqueeError
from marquee.processes import last_line
from marquee.project import Project

# Of what is made from the same inputs; another number builds all archives again.
FORMAT = "format 3: golden requests, digests of content and golden answers"
Say = Callable[[str], None]
# A step that is done sooner is not worth a line.
QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class BuiltArchive:
    """An archive in the model store.

    Attributes:
        path: the archive.
        sha256: of its bytes, in hex.
        digest: of everything that went into it, in hex.
        fresh: whether it was built now, or was up to date.
        refused: what the model said to those of its examples that it cannot process.
    """

    path: Path
    sha256: str
    digest: str
    fresh: bool
    refused: tuple[str, ...] = ()


def build(
    project: Project,
    model: ModelVersion,
    *,
    force: bool = False,
    store: Path | None = None,
    say: Say | None = None,
) -> BuiltArchive:
    """Bring one archive up to date: build it, load it once, and put it into the store.

    Args:
        project: whose model it is.
        model: what to build.
        force: build it also when it is up to date.
        store: a folder to build into, in place of the project's model store.
        say: gets a line for each step that takes long.

    Raises:
        MarqueeError: something is missing, or the model does not load or fails on its example.
    """
    store = project.model_store if store is None else store
    store.mkdir(parents=True, exist_ok=True)
    record, title = StoreRecord(store), f"{model.name} {model.version}"
    size = model.weights.stat().st_size / 1e6
    with announced(f"{title}: reading its {size:.0f} MB of weights ...", say):
        contents, digest = _inputs(project, model, record)
    target = store / model.archive_name
    known = record.sha256(target, digest)
    if known and not force:
        record.save()
        return BuiltArchive(target, known, digest, fresh=False)
    with tempfile.TemporaryDirectory(prefix="marquee-") as folder:
        packed = Path(folder, "packed")
        packed.mkdir()
        with announced(f"{title}: packing ...", say):
            serialized = pack_hook.pack(project, model, packed)
            contents |= {file.name: file for file in packed.iterdir() if file != serialized}
            what = (model.name, model.version, model.config_text, contents, Path(folder))
            plain = run_archiver(*what, "--serialized-file", serialized)
        about, source = _about(model, digest, record), (serialized.name, model.weights)
        return try_and_store(plain, target, about, record, title=title, source=source, say=say)


@contextmanager
def announced(text: str, say: Say | None) -> Iterator[None]:
    """Say ``text`` if the block takes longer than a moment, also where there is no terminal."""
    if say is None:
        yield
        return
    timer = Timer(QUIET_SECONDS, say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def try_and_store(
    plain: Path,
    target: Path,
    about: Mapping[str, str],
    record: StoreRecord,
    *,
    title: str,
    source: tuple[str, Path],
    say: Say | None = None,
) -> BuiltArchive:
    """Load an archive as a worker would, ask it its example, and put it into the store.

    Args:
        plain: what the archiver wrote, in a folder that is removed afterwards.
        target: the archive in the store.
        about: what its manifest says of it: the ``digest`` of all that went in, and more.
        record: of the store.
        title: name and version, for messages.
        source: a name in the archive, and the file or folder it was made from, for messages.
        say: gets a line for each step that takes long.

    Raises:
        MarqueeError: the model does not load or fails on its example.
    """
    with announced(f"{title}: loading it and asking it its example ...", say):
        tried = trial.run(plain, plain.parent)
    if tried.problem is not None:
        inside, origin = source
        problem = tried.problem.replace(str(tried.unpacked / inside), str(origin))
        raise MarqueeError(f"{title} does not load: {problem}")
    with announced(f"{title}: writing {target.name} ...", say):
        sha256 = normalise(plain, target, about)
    record.add(target, about["digest"], sha256)
    record.save()
    return BuiltArchive(target, sha256, about["digest"], fresh=True, refused=tried.refused)


def up_to_date(project: Project, model: ModelVersion) -> Path | None:
    """Return the model's archive in the store, unless it is not there or would be built again."""
    record = StoreRecord(project.model_store)
    _, digest = _inputs(project, model, record)
    path = project.model_store / model.archive_name
    return None if record.sha256(path, digest) is None else path


def _inputs(
    project: Project, model: ModelVersion, record: StoreRecord
) -> tuple[dict[str, Path], str]:
    """Return archive name -> file of code and example, and the digest of all that goes in."""
    unused_weights.check(project, model)
    handler = model.room / "handler.py"
    contents = sources.by_name(project.root, handler) | {"handler.py": handler}
    for path in rooms.examples(project, model.name, model.version):
        contents[path.name] = path
    return contents, _digest(model, contents, pack_hook.inputs(project, model), record)


def _digest(
    model: ModelVersion, contents: dict[str, Path], inputs: list[Path], record: StoreRecord
) -> str:
    # By name, not by place: the same files in another folder make the same archive.
    lines = [f"input {path.name} {record.digest_of(path)}" for path in inputs]
    lines.append(f"weights of the {model.origin}")
    return digest_of([model.name, model.version, model.config_text, *lines], contents, record)


def digest_of(head: list[str], contents: Mapping[str, Path], record: StoreRecord) -> str:
    """Return a digest, in hex, of ``head``, of all ``contents`` and of the time entries get."""
    total = hashlib.sha256()
    lines = [f"{name} {record.digest_of(path)}" for name, path in sorted(contents.items())]
    for line in [FORMAT, *head, str(epoch()), *lines]:
        total.update(line.encode() + b"\0")
    return total.hexdigest()


def run_archiver(
    name: str,
    version: str,
    config: str,
    contents: Mapping[str, Path],
    folder: Path,
    *more: str | Path,
) -> Path:
    """Run torch-model-archiver in ``folder`` and return the archive it wrote.

    Args:
        name, version: of the model.
        config: the text of its model-config.yaml.
        contents: archive name -> file, ``handler.py`` among them.
        folder: an empty one, or as good as that.
        more: arguments of the archiver's.

    Raises:
        MarqueeError: the archiver's last line.
    """
    extra, staging = folder / "extra", folder / "staging"
    for file in contents.keys() - {"handler.py"}:
        (extra / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(contents[file], extra / file)
    (folder / "model-config.yaml").write_text(config)
    command = [sys.executable, "-m", "model_archiver.model_packaging", *map(str, more)]
    command += ["--model-name", name, "--version", version, "--archive-format", "zip-store"]
    command += ["--config-file", str(folder / "model-config.yaml"), "--extra-files", str(extra)]
    command += ["--handler", str(contents["handler.py"]), "--export-path", str(folder)]
    # The archiver stages in <temp>/<model name>, wiped first: it gets a temp of its own.
    staging.mkdir()
    environment = os.environ | {"TMPDIR": str(staging)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = last_line(done.stderr)
        raise MarqueeError(f"torch-model-archiver failed for {name} {version}: {last}")
    return folder / f"{name}.mar"


def _about(model: ModelVersion, digest: str, record: StoreRecord) -> dict[str, str]:
    return {
        "digest": digest,
        "weights": record.digest_of(model.weights),
        "weights_file": model.weights.name,
        "weights_from": model.origin,
    }
