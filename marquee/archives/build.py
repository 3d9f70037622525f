"""Build TorchServe archives: the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Timer
from typing import Any

from marquee import processes
from marquee.archives import pack_hook, rooms, sources, trial, unused_weights
from marquee.archives.digests import entry_digests, file_digest, statement
from marquee.archives.manifest import MANIFEST
from marquee.archives.rooms import ModelVersion
from marquee.archives.store import StoreRecord
from marquee.errors import MarqueeError
from marquee.files import replacing
from marquee.project import Project
from marquee.scratch import scratch

# Of what is made from the same inputs; another number builds all archives again.
FORMAT = "format 3: golden requests, digests of content and golden answers"
Say = Callable[[str], None]
# A step that is done sooner is not worth a line.
QUIET_SECONDS = 3.0
# 1980-01-01, the first moment a zip entry can hold.
EPOCH = 315532800


@dataclass(frozen=True)
class BuiltArchive:
    """An archive in the model store.

    Attributes:
        path: the archive.
        sha256: of its bytes, in hex.
        fresh: whether it was built now, or was up to date.
        refused: what the model said to those of its examples that it cannot process.
    """

    path: Path
    sha256: str
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
        return BuiltArchive(target, known, fresh=False)
    with scratch() as folder:
        packed = folder / "packed"
        packed.mkdir()
        with announced(f"{title}: packing ...", say):
            serialized = pack_hook.pack(project, model, packed)
            contents |= {file.name: file for file in packed.iterdir() if file != serialized}
            what = (model.name, model.version, model.config_text, contents, folder)
            plain = run_archiver(*what, "--serialized-file", serialized)
        about = {
            "digest": digest,
            "weights": record.digest_of(model.weights),
            "weights_file": model.weights.name,
            "weights_from": model.origin,
        }
        source = (serialized.name, model.weights)
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
        title: name and version, for messages.
        source: a name in the archive, and the file or folder it was made from, for messages.
        say: gets a line for each step that takes long.

    Raises:
        MarqueeError: the model does not load or fails on its example.
    """
    with announced(f"{title}: loading it and asking it its example ...", say):
        refused = trial.run(plain, plain.parent, title, source)
    with announced(f"{title}: writing {target.name} ...", say):
        sha256 = _normalise(plain, target, about)
    record.add(target, about["digest"], sha256)
    record.save()
    return BuiltArchive(target, sha256, fresh=True, refused=refused)


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
    contents = sources.needed(project.root, handler) | {"handler.py": handler}
    for path in rooms.examples(project, model.name, model.version):
        contents[path.name] = path
    inputs = pack_hook.inputs(project, model)
    # By name, not by place: the same files in another folder make the same archive.
    lines = [f"input {path.name} {record.digest_of(path)}" for path in inputs]
    head = [model.name, model.version, model.config_text, *lines, f"weights of the {model.origin}"]
    return contents, digest_of(head, contents, record)


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
        config: the text of the model's model-config.yaml.
        contents: archive name -> file, ``handler.py`` among them.
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
    failure = f"torch-model-archiver failed for {name} {version}"
    processes.run(command, failure, env=os.environ | {"TMPDIR": str(staging)})
    return folder / f"{name}.mar"


def _normalise(source: Path, target: Path, about: Mapping[str, str]) -> str:
    """Rewrite an archive with sorted entries, one time and one mode; return its sha256.

    Entries are stored, not deflated: weights hardly shrink, TorchServe unpacks faster, and the
    bytes do not depend on the version of zlib. The manifest's ``marquee`` section gets ``about``,
    and the digests of content and golden answers.
    """
    with replacing(target) as part:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(part, "w") as new:
            digests = entry_digests(old)
            extra = {"marquee": {**about, **statement(digests)}}
            for name in sorted(digests):
                _copy_entry(old, new, name, extra)
        return file_digest(part)


def _copy_entry(
    old: zipfile.ZipFile, new: zipfile.ZipFile, name: str, extra: Mapping[str, Any]
) -> None:
    moment = datetime.fromtimestamp(epoch(), timezone.utc)
    entry = zipfile.ZipInfo(name, moment.timetuple()[:6])
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3  # Unix, on every system
    with old.open(name) as reader:
        if name == MANIFEST:
            created = {"createdOn": moment.strftime("%d/%m/%Y %H:%M:%S")}
            manifest = json.load(reader) | created | extra
            new.writestr(entry, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
            return
        entry.file_size = old.getinfo(name).file_size
        with new.open(entry, "w") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


def epoch() -> int:
    """Return the time all entries get: SOURCE_DATE_EPOCH, as reproducible builds have it."""
    value = os.environ.get("SOURCE_DATE_EPOCH", str(EPOCH))
    if not value.isdecimal():
        raise MarqueeError(f"SOURCE_DATE_EPOCH is {value!r}, expected seconds since 1970")
    return max(int(value), EPOCH)
