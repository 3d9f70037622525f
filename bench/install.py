"""Get what `bench.compare` needs besides the project: the other servers, and wrk.

    .venv/bin/python -m bench.install

Each list of requirements gets a virtual environment below bench/.venvs, which also sees the
packages of the environment that runs this: torch is there once. wrk is taken from PATH, else from
the system's package, unpacked below bench/.venvs: no right of an administrator is needed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
LISTS = {"servers": "requirements.txt", "pytriton": "requirements-pytriton.txt"}
WRK_PACKAGES = ("wrk", "libluajit-5.1-2")
# PyTriton carries an interpreter whose locks lack what a later standard library asks of them.
LOCKS = """import _thread, threading
if not hasattr(_thread.RLock, "_recursion_count"):
    threading.RLock = threading._PyRLock
"""


def python_of(name: str) -> Path:
    """Return the interpreter of an environment."""
    return VENVS / name / "bin" / "python"


def environment(name: str) -> None:
    """Make an environment unless it is there and its list is still the same."""
    wanted = HERE / LISTS[name]
    mark = VENVS / name / "installed"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text() == digest:
        return
    folder = VENVS / name
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    # A line of a .pth file comes after the environment's own packages, so those win.
    (packages / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if name == "pytriton":
        (packages / "sitecustomize.py").write_text(LOCKS)
    pip = [sys.executable, "-m", "pip", "--python", str(python_of(name)), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "-r", wanted], check=True)
    mark.write_text(digest)


def wrk_command() -> tuple[str, dict[str, str]]:
    """Return wrk's path and the variables that it needs.

    Raises:
        SystemExit: it is nowhere; says how to get it.
    """
    found = shutil.which("wrk")
    if found:
        return found, {}
    unpacked = VENVS / "wrk" / "usr"
    if not (unpacked / "bin" / "wrk").is_file():
        sys.exit("wrk is not installed: python -m bench.install, or apt-get install wrk")
    folders = ":".join(str(path) for path in (unpacked / "lib").glob("*-linux-gnu*"))
    return str(unpacked / "bin" / "wrk"), {"LD_LIBRARY_PATH": folders}


def wrk() -> None:
    """Unpack Debian's or Ubuntu's package where there is no wrk."""
    if shutil.which("wrk") or (VENVS / "wrk").is_dir():
        return
    if not shutil.which("apt-get"):
        sys.exit("wrk is missing; install it (brew install wrk, dnf install wrk) and try again")
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(["apt-get", "download", *WRK_PACKAGES], cwd=folder, check=False)
        if got.returncode != 0:
            sys.exit("apt-get has no wrk: `apt-get update`, or install wrk by hand, and try again")
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, VENVS / "wrk"], check=True)


def main() -> None:
    """Make everything that is missing."""
    VENVS.mkdir(exist_ok=True)
    for name in LISTS:
        environment(name)
    wrk()


if __name__ == "__main__":
    main()
