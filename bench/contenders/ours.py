"""marquee as it comes: `marquee archive`, `marquee serve`, and the same with the front door."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import yaml

from bench.contenders.start import VERSIONS, Setting, Start
from marquee.project import Project
from marquee.torchserve.tokens import Keys
from tests.support import BIN, clean_environment, make_project, marquee, server_environment


def built(setting: Setting) -> Path:
    """Return a project with cifar's archive of the one network; made once."""
    folder = setting.folder / "built"
    if not folder.is_dir():
        project = make_project(folder, "cifar")
        keep_one_version(project, VERSIONS[setting.network])
        done = marquee(project, "archive")
        if done.returncode != 0:
            sys.exit(done.stderr)
    return folder


def keep_one_version(project: Project, version: str) -> None:
    """Take the other versions out of cifar's model-config.yaml."""
    path = project.handlers / "cifar" / "model-config.yaml"
    config = yaml.safe_load(path.read_text())
    ours = config["marquee"]
    ours["versions"], ours["default"] = {version: ours["versions"][version]}, version
    path.write_text(yaml.safe_dump(config))


def served(setting: Setting, name: str, *options: str, **extra: str) -> Start:
    """Return the start of a copy of the project, with tokens as ever."""
    project = Project(setting.folder / name)
    shutil.copytree(built(setting), project.root)
    # Short: sockets in it have paths of at most 107 bytes.
    temporary = setting.own_folder(f"{name}-t")
    variables = server_environment(temporary) | extra
    keys = Keys(project.key_file, variables["TS_MANAGEMENT_ADDRESS"])
    return Start(
        command=[BIN / "marquee", "serve", *options],
        folder=project.root,
        environment=clean_environment(**variables),
        port=int(variables["TS_INFERENCE_ADDRESS"].rpartition(":")[2]),
        path="/predictions/cifar",
        headers=lambda: {"Authorization": f"Bearer {keys.get('inference')}"},
    )


def plain(setting: Setting) -> Start:
    """`marquee serve`."""
    return served(setting, "marquee")


def behind_the_door(setting: Setting) -> Start:
    """`marquee serve --front`."""
    return served(setting, "door", "--front")
