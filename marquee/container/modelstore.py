"""The model store: archives as they are, with the environment's settings, or of a script.

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

from marquee.archives import model_folder, reader, safety, trust
from marquee.archives import script as script_archive
from marquee.archives.listing import Archive
from marquee.archives.manifest import MANIFEST, Manifest
from marquee.container.contents import Script
from marquee.container.variables import ContainerSettings
from marquee.errors import MarqueeError
from marquee.project import Project

# What AWS's containers call a script's model.
SCRIPT_MODEL = "model"
SCRIPT_VERSION = "1.0"
# TorchServe's own, in seconds.
RESPONSE_TIMEOUT = 120


@dataclass(frozen=True)
class StoredModel:
    """A model that lies in the model store.

    Attributes:
        path: of the archive, or of the unpacked one.
        response_timeout: seconds after which TorchServe ends a request to it.
        at_once: the requests that its workers can have in hand, each a full batch.
    """

    name: str
    version: str
    path: Path
    response_timeout: int = RESPONSE_TIMEOUT
    at_once: int = 1


class ModelStore:
    """Puts what a model folder holds where TorchServe looks for it."""

    def __init__(self, project: Project, settings: ContainerSettings) -> None:
        self._project = project
        self._overrides = overrides(settings)
        self._trusted = trust.checkable(settings.trusted_keys)

    def add_archive(self, archive: Archive, name: str | None = None) -> StoredModel:
        """Put an archive into the store, under ``name`` if one is given.

        Raises:
            MarqueeError: it is damaged or not safe, or the store has such a model.
        """
        manifest, source = archive.manifest, archive.path
        name = name or manifest.name
        as_it_is = name == manifest.name and not self._overrides
        if as_it_is and not self._trusted:
            suffix = reader.ZIP if source.is_dir() else reader.suffix_of(source)
            path = self._free_path(name, manifest.version, source, suffix)
            path.symlink_to(source.resolve())
            return _stored(name, manifest.version, path, reader.config(source))
        path = self._free_path(name, manifest.version, source)
        with _whole(path):
            checked = self._unpacked(archive, path)
            config = reader.config(path if self._trusted else source)
            if not as_it_is:
                config = merged(config, self._overrides)
                content = copy.deepcopy(dict(checked.content))
                content["model"]["modelName"] = name
                _configure(path, content, config)
        return _stored(name, manifest.version, path, config)

    def add_script(self, script: Script, name: str = SCRIPT_MODEL) -> StoredModel:
        """Make an unpacked archive of a script: the adapter, and a link to its folder.

        Raises:
            MarqueeError: the folder is no model, or hides our modules.
        """
        if self._trusted:
            raise MarqueeError(
                f"{script.folder} holds a script, which nobody can sign, and MARQUEE_TRUST names "
                "keys; make an archive of it (marquee archive script) and sign that"
            )
        path = self._free_path(name, SCRIPT_VERSION, script.folder)
        with _whole(path):
            folder = _link(script, path / script_archive.FOLDER)
            file = model_folder.check(folder, script.program, script.folder, "SAGEMAKER_PROGRAM")
            self._add_adapter(path)
            source = script_archive.ScriptSource(folder, name, SCRIPT_VERSION, script.program)
            config = script_archive.config(self._project, source, file)
            config = merged(config, self._overrides)
            model = {"modelName": name, "modelVersion": SCRIPT_VERSION, "handler": "handler.py"}
            manifest = {"createdOn": "-", "archiverVersion": "0.12.0", "model": model}
            _configure(path, manifest, config)
        return _stored(name, SCRIPT_VERSION, path, config)

    def remove(self, model: StoredModel) -> None:
        """Take a model out of the store."""
        if model.path.is_symlink():
            model.path.unlink()
        else:
            shutil.rmtree(model.path, ignore_errors=True)

    def _free_path(self, name: str, version: str, source: Path, suffix: str = reader.ZIP) -> Path:
        """Return where a model is to lie."""
        store, stem = self._project.model_store, f"{name}-{version}"
        names = {path.name for path in store.iterdir()}
        if not names.isdisjoint(stem + one for one in (reader.ZIP, *reader.TARS)):
            raise MarqueeError(
                f"{source} is {name} {version}, and so is another model of the model folder; "
                "remove one, or give it another name or version"
            )
        return store / (stem + suffix)

    def _unpacked(self, archive: Archive, target: Path) -> Manifest:
        """Unpack an archive into an empty folder, and return its manifest.

        Where keys are trusted it is that of the files that were checked: the archive may be
        another one by now than when it was read.
        """
        if not self._trusted:
            _unpack(archive.path, target)
            return archive.manifest
        trust.unpack_signed(archive.path, target, self._trusted)
        checked, first = reader.read(target), archive.manifest
        if (checked.name, checked.version) != (first.name, first.version):
            raise MarqueeError(f"{archive.path} changed while it was read; start again")
        return checked

    def _add_adapter(self, archive: Path) -> None:
        """Link to the adapter and to what it imports, and to nothing of other rooms."""
        handlers = self._project.handlers.resolve()
        (archive / "handlers").mkdir()
        for part in ("__init__.py", "runtime", "script"):
            (archive / "handlers" / part).symlink_to((handlers / part).resolve())
        (archive / "handler.py").symlink_to((handlers / "script" / "handler.py").resolve())


def overrides(settings: ContainerSettings) -> dict[str, int]:
    """Return what of model-config.yaml the environment wants otherwise."""
    delay = settings.max_batch_delay
    wanted = {
        "batchSize": settings.batch_size,
        # TorchServe takes 0 for "not said", which is 100 ms.
        "maxBatchDelay": None if delay is None else delay or 1,
        "minWorkers": settings.min_workers,
        "maxWorkers": settings.max_workers,
        "responseTimeout": settings.response_timeout,
        "startupTimeout": settings.startup_timeout,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def merged(config: Mapping[str, Any], wanted: Mapping[str, int]) -> dict[str, Any]:
    """Return a model's configuration with the wanted values; workers stay in order."""
    both = {**config, **wanted}
    least, most = both.get("minWorkers", 1), both.get("maxWorkers")
    if most is None or least > most:
        # TorchServe ignores minWorkers without maxWorkers.
        changed = wanted.get("minWorkers") or wanted.get("maxWorkers") or least
        both |= {"minWorkers": changed, "maxWorkers": changed}
    return both


def _stored(name: str, version: str, path: Path, config: Mapping[str, Any]) -> StoredModel:
    timeout = _number(config, "responseTimeout", RESPONSE_TIMEOUT)
    workers = max(_number(config, "minWorkers", 1), _number(config, "maxWorkers", 1))
    return StoredModel(name, version, path, timeout, workers * _number(config, "batchSize", 1))


def _number(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    # Of what is no number TorchServe takes no notice.
    return value if isinstance(value, int) and value > 0 else default


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Make a folder that is removed again if the ``with`` block fails."""
    folder.mkdir()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


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
            safety.check_zip(archive, source)
            size = sum(entry.file_size for entry in archive.infolist())
            free = shutil.disk_usage(target).free
            if size > free:
                raise MarqueeError(
                    f"{source} unpacks to {size >> 20} MB, and {target.parent} has {free >> 20} MB "
                    "free; give the container more room in /tmp, or set TEMP to another folder"
                )
            archive.extractall(target)
    except reader.DAMAGE as error:
        raise MarqueeError(f"{source} cannot be unpacked: {error}") from error


def _configure(folder: Path, manifest: dict[str, Any], config: Mapping[str, Any]) -> None:
    """Write the configuration and the manifest, in place of links to the user's own files."""
    path = folder / Path(manifest["model"].get("configFile") or reader.CONFIG_NAME).name
    path.unlink(missing_ok=True)
    path.write_text(yaml.safe_dump(dict(config), sort_keys=True))
    manifest["model"]["configFile"] = path.name
    (folder / MANIFEST).parent.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def _link(script: Script, target: Path) -> Path:
    """Link to a script's folder; entry by entry where not all of it is the model's."""
    if script.is_whole:
        target.symlink_to(script.folder.resolve())
        return target
    target.mkdir()
    for path in script.folder.iterdir():
        if path.name not in script.others and path.name != model_folder.CODE:
            (target / path.name).symlink_to(path.resolve())
    if script.code.is_dir():
        (target / model_folder.CODE).symlink_to(script.code.resolve())
    return target
