"""The models of a project: one room each, described by its model-config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import configuration, weight_files
from marquee.archives.listing import is_hidden
from marquee.archives.manifest import rule_broken
from marquee.errors import MarqueeError
from marquee.project import Project

CONFIG_NAME = "model-config.yaml"
CONTAINER_NAME = "container.yaml"
TIMEOUT_VARIABLE = "TS_DEFAULT_RESPONSE_TIMEOUT"


@dataclass(frozen=True)
class ModelVersion:
    """One version of one model: what goes into one archive.

    Attributes:
        name: the model's short name, also its room's.
        version: such as ``1.0``.
        room: the folder ``handlers/<name>``.
        config: the contents of this version's own model-config.yaml.
        weights: the weight file found for it.
    """

    name: str
    version: str
    room: Path
    config: dict[str, Any]
    weights: Path

    @property
    def archive_name(self) -> str:
        """The archive's file name; versions of one model lie side by side in the store."""
        return f"{self.name}-{self.version}.mar"

    @property
    def origin(self) -> str:
        """Whose weights these are: ``user`` or ``demo``."""
        return "demo" if self.weights.parent == self.room / "demo" else "user"

    @property
    def config_text(self) -> str:
        """This version's model-config.yaml; the same for the same contents."""
        return yaml.safe_dump(self.config, sort_keys=True)


@dataclass(frozen=True)
class Training:
    """How the container trains a model: by ``train.py`` of its room.

    Attributes:
        room: its name.
        weights: the file that the training leaves.
        data: what the input channel has, in words.
    """

    room: str
    weights: str
    data: str


@dataclass(frozen=True)
class InContainer:
    """What the container does for one model more than for others, as container.yaml says.

    Attributes:
        ping: what the body of ``/ping`` has besides.
        origins: the web pages that may ask it, where no variable says.
        training: None where it is not trained there.
    """

    ping: Mapping[str, Any] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    training: Training | None = None


def in_container(project: Project, name: str) -> InContainer:
    """Return what a room's container.yaml says; a room, or the file, need not be there.

    Raises:
        MarqueeError: it says something else.
    """
    path = project.handlers / name / CONTAINER_NAME
    if not path.is_file():
        return InContainer()
    text = configuration.load(path.read_bytes(), path)
    try:
        training = Training(name, **text["train"]) if "train" in text else None
        return InContainer(text.get("ping", {}), tuple(text.get("origins", ())), training)
    except (TypeError, AttributeError) as error:
        raise MarqueeError(
            f"{path} cannot be read ({' '.join(str(error).split())}); expected ping: a mapping, "
            "origins: a list, train: weights and data"
        ) from error


def trainings(project: Project) -> list[Training]:
    """Return how the models are trained that the container can train."""
    found = (path.parent.name for path in sorted(project.handlers.glob(f"*/{CONTAINER_NAME}")))
    each = (in_container(project, name).training for name in found)
    return [training for training in each if training is not None]


def names(project: Project) -> list[str]:
    """Return the names of the project's models."""
    rooms = (path.parent.name for path in project.handlers.glob(f"*/{CONFIG_NAME}"))
    return sorted(name for name in rooms if not is_hidden(name))


def versions(project: Project, name: str) -> list[ModelVersion]:
    """Return the versions of the model ``name``.

    Raises:
        MarqueeError: there is no such model, its configuration is wrong, or weights are missing.
    """
    return [version_of(project, name, version) for version in weight_names(project, name)]


def version_of(project: Project, name: str, version: str) -> ModelVersion:
    """Return one version of the model ``name``, which it must have.

    Raises:
        MarqueeError: its configuration is wrong, or it is not clear which weights it gets.
    """
    room, config = project.handlers / name, _read_config(project, name)
    section = config.pop("marquee")
    own = section.pop("versions")[version]
    for descriptive in ("default", "curl"):
        section.pop(descriptive, None)
    timeout = timeout_override(project)
    config |= {} if timeout is None else {"responseTimeout": timeout}
    merged = section | {key: value for key, value in own.items() if key != "weights"}
    whole = config | {"marquee": merged | {"version": version}}
    weights = weight_files.find(project, name, version, weight_names(project, name))
    return ModelVersion(name, version, room, whole, weights)


def examples(project: Project, name: str, version: str) -> list[Path]:
    """Return the requests that a version is warmed up and checked with: the user's, else ours.

    Raises:
        MarqueeError: there is none.
    """
    room, own = project.handlers / name, weight_files.model_folders(project, name)
    versions = weight_names(project, name)
    inner = [sub for one in own for sub in weight_files.version_folders(one, version, versions)]
    for folder in (*inner, *own, room):
        files = [path for path in weight_files.visible(folder) if path.name.startswith("example.")]
        if files := [path for path in files if not weight_files.has_weight_suffix(path)]:
            return files
    raise MarqueeError(
        f"{room} has no example.*: put a sample input there; the model is warmed up "
        "and checked with it"
    )


def default_version(project: Project, name: str) -> str | None:
    """Return the version that answers when a request names none, if the project says."""
    if name not in names(project):
        return None
    section = _read_config(project, name)["marquee"]
    chosen = section.get("default")
    if chosen is None and len(section["versions"]) == 1:
        chosen = next(iter(section["versions"]))
    return None if chosen is None else str(chosen)


def weight_names(project: Project, name: str) -> dict[str, list[str]]:
    """Return the names that the weights of each version may have."""
    listed = _read_config(project, name)["marquee"]["versions"]
    return {version: [*own["weights"]] for version, own in listed.items()}


def show_options(project: Project, name: str) -> list[str]:
    """Return the extra words of the model's curl line, such as the type to answer in."""
    return [str(word) for word in _read_config(project, name)["marquee"].get("curl", [])]


def timeout_override(project: Project) -> int | None:
    """Return the seconds that the environment gives a request, or None.

    Raises:
        MarqueeError: it does not say seconds.
    """
    value = project.environ.get(TIMEOUT_VARIABLE)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise MarqueeError(f"{TIMEOUT_VARIABLE} is {value!r}, expected seconds, at least 1")
    return int(value)


def _read_config(project: Project, name: str) -> dict[str, Any]:
    path = project.handlers / name / CONFIG_NAME
    if not path.is_file():
        known = ", ".join(names(project)) or "none"
        raise MarqueeError(f"there is no model '{name}' (no {path}); the models are: {known}")
    config: dict[str, Any] = deepcopy(_loaded(path.read_bytes(), path))
    _check_config(config, path)
    return config


# Asked for again and again, and PyYAML takes milliseconds.
@lru_cache
def _loaded(text: bytes, path: Path) -> Any:
    return configuration.load(text, path)


def _check_config(config: Any, path: Path) -> None:
    section = config.get("marquee") if isinstance(config, dict) else None
    listed = section.get("versions") if isinstance(section, dict) else None
    if not isinstance(section, dict) or not isinstance(listed, dict) or not listed:
        raise MarqueeError(f"{path}: marquee.versions must list at least one version")
    for version, own in listed.items():
        if not isinstance(version, str):
            raise MarqueeError(f"{path}: write version {version} in quotes, as text")
        problem = rule_broken("name", path.parent.name) or rule_broken("version", version)
        if problem is not None:
            raise MarqueeError(f"{path}: {problem}")
        weights = own.get("weights") if isinstance(own, dict) else None
        if not isinstance(weights, list) or not weights:
            raise MarqueeError(f"{path}: version {version} needs weights: [file, ...]")
    default = section.get("default")
    if default is not None and default not in listed:
        raise MarqueeError(f"{path}: marquee.default is {default!r}, the versions are {[*listed]}")
