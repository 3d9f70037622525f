"""A script's ``requirements.txt``: compared with what the image has, or installed when asked."""

from __future__ import annotations

import importlib
import os
import site
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from marquee.archives import requirements
from marquee.container.contents import Script
from marquee.errors import MarqueeError

FILE = "requirements.txt"
# Where packages go, in the project's folder.
FOLDER = "packages"
INSTALL_SECONDS = 900


def check(script: Script, file: str | None) -> None:
    """Refuse a script's requirements where the image lacks one, or has another version of it."""
    path = script.code / (file or FILE)
    missing = requirements.missing(path) if path.is_file() else {}
    if missing:
        raise MarqueeError(
            f"{path} asks for what is not here: {'; '.join(missing.values())}. Build an image FROM "
            f"this one that has it, or set SAGEMAKER_REQUIREMENTS={path.name} to have it installed "
            "at each start"
        )


def provide(script: Script, file: str | None, root: Path) -> None:
    """Install what a requirements file asks for below a project's root; without one only check.

    What the image has stays as it is, PyTorch above all.

    Raises:
        MarqueeError: the file is missing or asks for what cannot be installed beside what the
            image has, or pip fails; says pip's first line of error.
    """
    if file is None:
        check(script, None)
        return
    path = script.code / file
    if not path.is_file():
        raise MarqueeError(
            f"SAGEMAKER_REQUIREMENTS is {file!r}, and there is no such file in {script.code}"
        )
    try:
        requirements.check_installable(path)
    except MarqueeError as error:
        raise MarqueeError(f"{error}; build an image FROM this one that has it") from error
    _install(path, root / FOLDER)
    # Handlers are looked for in this process, too.
    site.addsitedir(str(_site_packages(root)))
    importlib.invalidate_caches()


def python_path(root: Path, environ: Mapping[str, str]) -> str:
    """Return the PYTHONPATH with which workers find what was installed."""
    return os.pathsep.join(filter(None, [str(_site_packages(root)), environ.get("PYTHONPATH")]))


def _site_packages(root: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return root / FOLDER / "lib" / version / "site-packages"


def _install(path: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    kept = into / "constraints.txt"
    # None of the image's packages is to be replaced. Versions such as 2.14.1+cu130 cannot be asked
    # for; without the suffix they fit.
    found = ((one.metadata["Name"], one.version) for one in metadata.distributions())
    kept.write_text("".join(f"{name}=={v.partition('+')[0]}\n" for name, v in found if name))
    command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--prefix", str(into)]
    command += ["--constraint", str(kept), "--requirement", str(path)]
    command += ["--disable-pip-version-check", "--no-warn-script-location"]
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
