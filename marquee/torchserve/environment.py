"""The environment in which plain ``torchserve`` commands use this project's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from marquee.project import Project
from marquee.torchserve import java


def variables(project: Project) -> dict[str, str]:
    """Return the variables a TorchServe of this project needs; creates its TEMP folder."""
    return {
        "TS_CONFIG_FILE": str(project.config_file.resolve()),
        "JAVA_HOME": str(java.find_home()),
        "TEMP": str(project.make_temp()),
        "LOG_LOCATION": str(project.logs),
        "METRICS_LOCATION": str(project.logs),
    }


def exports(values: Mapping[str, str]) -> str:
    """Return shell lines that export ``values``."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
