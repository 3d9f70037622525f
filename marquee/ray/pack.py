"""The model.tar.gz that AWS's container of Ray Serve takes: an archive that brings its own server.

Nothing of marquee and no TorchServe is installed there, so the archive's handlers lie beside a
module that loads and asks them, :mod:`marquee.ray.packed`.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from marquee.archives import reader, rooms, safety
from marquee.archives.build import build
from marquee.archives.manifest import Manifest
from marquee.archives.store import find_archive
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.ray import config
from marquee.ray.spec import VersionSpec, spec_of
from marquee.sagemaker import tarball
from marquee.scratch import scratch

# Where the archive lies; FOLDER of the module that reads it.
FOLDER = "archive"
SOURCE = Path(__file__).with_name("packed.py")
REQUIREMENTS = "code/requirements.txt"


def pack(
    project: Project,
    model: str,
    version: str | None = None,
    output: Path = Path("model.tar.gz"),
    gpus: float | None = None,
) -> tarball.Packed:
    """Pack one version of a model for AWS's container of Ray Serve.

    Args:
        model: one of the project, whose archive is built first where it is out of date, or an
            archive by its path or its name in the store.
        version: of the project's model; by default the one that answers when none is named.
        gpus: that a replica takes, if not what the archive says; see :mod:`marquee.ray.spec`.

    Raises:
        MarqueeError: there is no such model, it cannot be built, or its handler is TorchServe's.
    """
    spec = described(project, model, version, gpus)
    archive = Path(spec.path)
    with scratch() as temp:
        folder = _unpacked(archive, temp / FOLDER)
        manifest = reader.read(folder)
        _check_handler(folder, manifest, archive)
        (temp / "config.yaml").write_text(config.text(config.application(spec), config.LOCAL))
        files = {f"{FOLDER}/{name}": path for name, path in _files(folder)}
        files |= {"config.yaml": temp / "config.yaml", f"{config.MODULE}.py": SOURCE}
        if name := manifest.files.get("requirementsFile"):
            files[REQUIREMENTS] = folder / name
        return tarball.write(files, output)


def described(
    project: Project, model: str, version: str | None = None, gpus: float | None = None
) -> VersionSpec:
    """Return how a model is to be served; for the arguments see :func:`pack`.

    Raises:
        MarqueeError: there is no such model, or its archive cannot be built.
    """
    spec = spec_of(project, _archive(project, model, version))
    return spec if gpus is None else replace(spec, gpus=gpus)


def _archive(project: Project, model: str, version: str | None) -> Path:
    """Return a model's archive: built if it is one of the project, else found in the store.

    Raises:
        MarqueeError: there is none.
    """
    if model in rooms.names(project):
        wanted = () if version is None else (version,)
        chosen = tarball.chosen(project, model, wanted)
        if len(chosen) != 1:
            listed = ", ".join(one.version for one in chosen)
            raise MarqueeError(
                f"{model} has the versions {listed}, of which one is packed: --version"
            )
        return build(project, chosen[0]).path
    if version is not None:
        raise MarqueeError(
            f"{model} is no model of this project, so its archive has one version, and --version "
            f"{version} chooses none; leave it away"
        )
    return find_archive(project.model_store, model)


def _unpacked(archive: Path, target: Path) -> Path:
    """Return an archive's folder.

    Raises:
        MarqueeError: it is damaged or not safe.
    """
    target.mkdir()
    try:
        if reader.suffix_of(archive) in reader.TARS:
            safety.unpack_tar(archive, target)
            return target
        with zipfile.ZipFile(archive) as opened:
            safety.check_zip(opened, archive)
            opened.extractall(target)
    except reader.DAMAGE as error:
        raise MarqueeError(f"{archive} cannot be unpacked: {error}") from error
    return target


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def _check_handler(folder: Path, manifest: Manifest, archive: Path) -> None:
    """Refuse a handler that needs TorchServe's own modules, which Ray's container lacks."""
    name = manifest.handler.partition(":")[0].removesuffix(".py") + ".py"
    source = next(
        (path for path in (folder / name, folder / Path(name).name) if path.is_file()), None
    )
    if source is None:
        said = f"its handler {manifest.handler} is TorchServe's own"
    elif "ts" in _imported(source):
        said = f"its handler {manifest.handler} imports TorchServe's package ts"
    else:
        return
    raise MarqueeError(
        f"{archive.name} cannot be packed for Ray's container: {said}, and no TorchServe is there; "
        "write a handler without it, or serve the archive with marquee ray serve, which has it"
    )


def _imported(source: Path) -> set[str]:
    """Return the first names of what a module imports when it is imported itself."""
    names: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names
