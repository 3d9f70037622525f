"""Archives in the model store: as they are, with the environment's settings, or of a script.

An archive that is changed, or made here, lies there unpacked: TorchServe links to such a folder,
where it would copy an archive's files, so that a large model is not written out at each start.
"""

from __future__ import annotations

import copy
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import listing, model_folder, reader, safety
from marquee.archives import script as script_archive
from marquee.archives.manifest import MANIFEST
from marquee.container.variables import Settings
from marquee.errors import MarqueeError
from marquee.project import Project

# What AWS's containers call a script's model.
SCRIPT_MODEL = "model"
SCRIPT_VERSION = "1.0"
# TorchServe's own, in seconds.
RESPONSE_TIMEOUT = 120


@dataclass(frozen=True)
class Stored:
    """A model that lies in the model store.

    Attributes:
        name, version: of the model.
        path: of the archive, or of the unpacked one.
    """

    name: str
    version: str
    path: Path


def overrides(settings: Settings) -> dict[str, int]:
    """Return what of model-config.yaml the environment wants otherwise."""
    wanted = {
        "batchSize": settings.batch_size,
        # TorchServe takes 0 for "not said", which is 100 ms.
        "maxBatchDelay": None
        if settings.max_batch_delay is None
        else settings.max_batch_delay or 1,
        "minWorkers": settings.min_workers,
        "maxWorkers": settings.max_workers,
        "responseTimeout": settings.response_timeout,
        "startupTimeout": settings.startup_timeout,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def response_timeout(path: Path) -> int:
    """Return the seconds after which TorchServe ends a request to a stored archive's model."""
    said = reader.config(path).get("responseTimeout", RESPONSE_TIMEOUT)
    # Of what is no number TorchServe takes no notice.
    return said if isinstance(said, int) and said > 0 else RESPONSE_TIMEOUT


def merged(config: Mapping[str, Any], wanted: Mapping[str, int]) -> dict[str, Any]:
    """Return a model's configuration with the wanted values; workers stay in order."""
    both = {**config, **wanted}
    least, most = both.get("minWorkers", 1), both.get("maxWorkers")
    if most is None or least > most:
        # TorchServe ignores minWorkers without maxWorkers.
        changed = wanted.get("minWorkers") or wanted.get("maxWorkers") or least
        both |= {"minWorkers": changed, "maxWorkers": changed}
    return both


def add_archive(
    source: Path, store: Path, wanted: Mapping[str, int], name: str | None = None
) -> Stored:
    """Put an archive of the model folder into the store, under ``name`` if one is given.

    Raises:
        MarqueeError: it is no archive, damaged or not safe.
    """
    manifest = reader.read(source)
    name, version = name or manifest.name, manifest.version
    _check_free(store, name, version, source)
    if not wanted and name == manifest.name:
        suffix = ".mar" if source.is_dir() else reader.suffix_of(source)
        stored = Stored(name, version, place(store, name, version, suffix))
        stored.path.symlink_to(source.resolve())
        return stored
    stored = Stored(name, version, place(store, name, version))
    with _whole(stored.path):
        _unpack(source, stored.path)
        content = copy.deepcopy(dict(manifest.content))
        content["model"]["modelName"] = name
        _configure(stored.path, content, reader.config(source), wanted)
    return stored


def _check_free(store: Path, name: str, version: str, source: Path) -> None:
    places = [place(store, name, version, suffix) for suffix in (reader.ZIP, *reader.TARS)]
    if any(path.exists() or path.is_symlink() for path in places):
        raise MarqueeError(
            f"{source} is {name} {version}, and so is another model of the model folder; remove "
            "one, or give it another name or version"
        )


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Make a folder that is removed again if the ``with`` block fails."""
    folder.mkdir()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def place(store: Path, name: str, version: str = SCRIPT_VERSION, suffix: str = reader.ZIP) -> Path:
    """Return where a model lies in the store."""
    return store / f"{name}-{version}{suffix}"


def _unpack(source: Path, target: Path) -> None:
    """Unpack an archive; of an unpacked one, link to all entries."""
    if source.is_dir():
        for path in source.iterdir():
            if path.name != Path(MANIFEST).parts[0]:
                (target / path.name).symlink_to(path.resolve())
        return
    try:
        if reader.suffix_of(source) in reader.TARS:
            safety.unpack_tar(source, target)
            return
        with zipfile.ZipFile(source) as archive:
            safety.check_zip(archive, source, shutil.disk_usage(target).free)
            archive.extractall(target)
    except reader.DAMAGE as error:
        raise MarqueeError(f"{source} cannot be unpacked: {error}") from error


def _configure(
    folder: Path, manifest: dict[str, Any], config: Mapping[str, Any], wanted: Mapping[str, int]
) -> None:
    """Write the configuration and the manifest, in place of links to the user's own files."""
    path = folder / Path(manifest["model"].get("configFile") or reader.CONFIG_NAME).name
    path.unlink(missing_ok=True)
    path.write_text(yaml.safe_dump(merged(config, wanted), sort_keys=True))
    manifest["model"]["configFile"] = path.name
    (folder / MANIFEST).parent.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def add_script(
    project: Project, source: Path, settings: Settings, name: str = SCRIPT_MODEL
) -> Stored:
    """Make an unpacked archive of a SageMaker model folder: the adapter, and a link to it.

    Raises:
        MarqueeError: the folder is no model, or hides our modules.
    """
    stored = Stored(name, SCRIPT_VERSION, place(project.model_store, name))
    _check_free(project.model_store, name, SCRIPT_VERSION, source)
    with _whole(stored.path):
        folder = _model_folder(source, settings, stored.path / script_archive.FOLDER)
        script = model_folder.check(folder, settings.program, source, "SAGEMAKER_PROGRAM")
        _add_adapter(project, stored.path)
        asked = script_archive.ScriptSource(
            folder, name, SCRIPT_VERSION, settings.program, batch_size=settings.batch_size
        )
        config = script_archive.config(asked, script)
        model = {"modelName": name, "modelVersion": SCRIPT_VERSION, "handler": "handler.py"}
        manifest = {"createdOn": "-", "archiverVersion": "0.12.0", "model": model}
        _configure(stored.path, manifest, config, overrides(settings))
    return stored


def _add_adapter(project: Project, archive: Path) -> None:
    """Link to the adapter and to what it imports, and to nothing of other rooms."""
    (archive / "handlers").mkdir()
    for part in ("__init__.py", "runtime", "script"):
        (archive / "handlers" / part).symlink_to((project.handlers / part).resolve())
    handler = project.handlers / "script" / "handler.py"
    (archive / "handler.py").symlink_to(handler.resolve())


def _model_folder(source: Path, settings: Settings, target: Path) -> Path:
    """Link to a model folder; entry by entry where archives lie in it or its code elsewhere."""
    code = settings.code_dir
    elsewhere = code is not None and code != source / model_folder.CODE
    others = {one.path.name for one in listing.scan(source).archives}
    if not elsewhere and not others:
        target.symlink_to(source.resolve())
        return target
    target.mkdir()
    for path in source.iterdir():
        if path.name not in others and not (elsewhere and path.name == model_folder.CODE):
            (target / path.name).symlink_to(path.resolve())
    if elsewhere and code is not None:
        if not code.is_dir():
            raise MarqueeError(f"SAGEMAKER_SUBMIT_DIRECTORY is {code}, and there is no such folder")
        (target / model_folder.CODE).symlink_to(code.resolve())
    return target
