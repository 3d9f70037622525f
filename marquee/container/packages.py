"""A script's ``requirements.txt``: compared with what the image has, or installed when asked."""

from __future__ import annotations

import importlib
import os
import site
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from marquee.archives import model_folder, requirements
from marquee.container.variables import Settings
from marquee.errors import MarqueeError

INSTALL_SECONDS = 900


def check(folder: Path, settings: Settings) -> None:
    """Compare a model folder's requirements with the image.

    Raises:
        MarqueeError: something is missing, or of another version.
    """
    path = _path(folder, settings)
    if path is None:
        return
    missing = requirements.missing(path)
    if missing:
        raise MarqueeError(
            f"{path} asks for what is not here: {'; '.join(missing.values())}. Build an image FROM "
            f"this one that has it, or set SAGEMAKER_REQUIREMENTS={path.name} to have it installed "
            "at each start"
        )


def install(folder: Path, settings: Settings, into: Path) -> None:
    """Install what is missing into ``into``, if SAGEMAKER_REQUIREMENTS asks for it; else check.

    What the image has stays as it is, PyTorch above all.

    Raises:
        MarqueeError: the file is missing or asks for what cannot be installed beside what the
            image has, or pip fails; says pip's first line of error.
    """
    if settings.requirements is None:
        check(folder, settings)
        return
    path = _path(folder, settings)
    if path is None:
        raise MarqueeError(
            f"SAGEMAKER_REQUIREMENTS is {settings.requirements!r}, and there is no such file in "
            f"{_code(folder, settings)}"
        )
    try:
        requirements.check_installable(path)
    except MarqueeError as error:
        raise MarqueeError(f"{error}; build an image FROM this one that has it") from error
    _install(path, into)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    _make_importable(into / "lib" / version / "site-packages")


def _install(path: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    kept = into / "constraints.txt"
    kept.write_text("".join(sorted(_present())))
    command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--prefix", str(into)]
    command += ["--constraint", str(kept)]
    command += ["--disable-pip-version-check", "--no-warn-script-location", "-r", str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise MarqueeError(
            f"the packages of {path} were not installed in {INSTALL_SECONDS} seconds; build an "
            "image FROM this one that has them"
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["no message"]
        raise MarqueeError(f"the packages of {path} cannot be installed: {lines[0]}")


def _present() -> set[str]:
    """Return a line for each package of the image: none of them is to be replaced."""
    found = ((one.metadata["Name"], one.version) for one in metadata.distributions())
    # Versions such as 2.14.1+cu130 cannot be asked for; without the suffix they fit.
    return {f"{name}=={version.partition('+')[0]}\n" for name, version in found if name}


def _make_importable(folder: Path) -> None:
    site.addsitedir(str(folder))
    importlib.invalidate_caches()
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), inherited]))


def _code(folder: Path, settings: Settings) -> Path:
    return settings.code_dir or folder / model_folder.CODE


def _path(folder: Path, settings: Settings) -> Path | None:
    path = _code(folder, settings) / (settings.requirements or "requirements.txt")
    return path if path.is_file() else None
