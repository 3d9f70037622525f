"""Archives in the model store: as they are, with the environment's settings, or of a script.

An archive that is changed, or made here, lies there unpacked: TorchServe links to such a folder,
where it would copy an archive's files, so that a large model is not written out at each start.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import model_folder
from marquee.archives import script as script_archive
from marquee.archives.build import read_manifest
from marquee.archives.content import MANIFEST
from marquee.container.variables import Settings
from marquee.errors import MarqueeError
from marquee.project import Project

CONFIG_NAME = "model-config.yaml"
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
    root = path if path.is_dir() else zipfile.Path(path)
    file = root / read_manifest(path)["model"].get("configFile", CONFIG_NAME)
    config = yaml.safe_load(file.read_text()) if file.is_file() else None
    return int((config or {}).get("responseTimeout", RESPONSE_TIMEOUT))


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
        MarqueeError: it is no archive, or damaged.
    """
    manifest = read_manifest(source)
    model = manifest["model"]
    name, version = name or model["modelName"], model["modelVersion"]
    stored = Stored(name, version, place(store, name, version))
    if _taken(stored.path):
        raise MarqueeError(
            f"{source} is {name} {version}, and so is another archive of the model folder; "
            "remove one, or archive it with another version"
        )
    if not wanted and name == model["modelName"]:
        stored.path.symlink_to(source.resolve())
        return stored
    with _whole(stored.path):
        _unpack(source, stored.path)
        model["modelName"] = name
        _configure(stored.path, manifest, wanted)
    return stored


def _taken(path: Path) -> bool:
    return path.exists() or path.is_symlink()


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Make a folder that is removed again if the ``with`` block fails."""
    folder.mkdir()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def place(store: Path, name: str, version: str = SCRIPT_VERSION) -> Path:
    """Return where a model lies in the store."""
    return store / f"{name}-{version}.mar"


def _unpack(source: Path, target: Path) -> None:
    """Unpack an archive; of an unpacked one, link to all entries."""
    if source.is_dir():
        for path in source.iterdir():
            if path.name not in (CONFIG_NAME, Path(MANIFEST).parts[0]):
                (target / path.name).symlink_to(path.resolve())
        if (source / CONFIG_NAME).is_file():
            shutil.copyfile(source / CONFIG_NAME, target / CONFIG_NAME)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(target)  # of leading "/" and ".." it makes plain folders
    except (OSError, zipfile.BadZipFile) as error:
        raise MarqueeError(f"{source} cannot be unpacked: {error}") from error


def _configure(folder: Path, manifest: dict[str, Any], wanted: Mapping[str, int]) -> None:
    name = manifest["model"].setdefault("configFile", CONFIG_NAME)
    path = folder / name
    config = yaml.safe_load(path.read_text()) if path.is_file() else None
    path.write_text(yaml.safe_dump(merged(config or {}, wanted), sort_keys=True))
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
    if _taken(stored.path):
        raise MarqueeError(f"there is a model '{name}' already; rename the archive of that name")
    with _whole(stored.path):
        folder = _model_folder(source, settings, stored.path / script_archive.FOLDER)
        script = model_folder.check(folder, settings.program)
        _add_adapter(project, stored.path)
        asked = script_archive.ScriptSource(
            folder, name, SCRIPT_VERSION, settings.program, batch_size=settings.batch_size
        )
        config = script_archive.config(asked, script)
        (stored.path / CONFIG_NAME).write_text(yaml.safe_dump(config))
        model = {"modelName": name, "modelVersion": SCRIPT_VERSION, "handler": "handler.py"}
        manifest = {"createdOn": "-", "archiverVersion": "0.12.0", "model": model}
        _configure(stored.path, manifest, overrides(settings))
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
    if not elsewhere and not any(source.glob("*.mar")):
        target.symlink_to(source.resolve())
        return target
    target.mkdir()
    for path in source.iterdir():
        if path.suffix != ".mar" and not (elsewhere and path.name == model_folder.CODE):
            (target / path.name).symlink_to(path.resolve())
    if elsewhere and code is not None:
        if not code.is_dir():
            raise MarqueeError(f"SAGEMAKER_SUBMIT_DIRECTORY is {code}, and there is no such folder")
        (target / model_folder.CODE).symlink_to(code.resolve())
    return target
