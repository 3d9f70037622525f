"""TorchServe's own settings, as far as a worker has to know them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# TorchServe's own default for max_response_size, in bytes.
DEFAULT_MAX_RESPONSE = 6_553_500
# ... and for responseTimeout, in seconds.
DEFAULT_RESPONSE_TIMEOUT = 120


def response_timeout(config: Mapping[str, Any] | None) -> float:
    """Return the seconds after which TorchServe kills a worker that has not answered."""
    return float((config or {}).get("responseTimeout") or DEFAULT_RESPONSE_TIMEOUT)


def take_bodies_as_bytes() -> None:
    """Have TorchServe leave bodies as they were sent, in this worker alone.

    It would parse JSON, and hand on what is no JSON, or has NaN in it, without a word. Its worker
    looks at the variable for every request; the server has set it to ``decode_input_request``,
    which stays as it is for the workers of others.
    """
    os.environ["TS_DECODE_INPUT_REQUEST"] = "false"


def max_response_size() -> int:
    """Return TorchServe's ``max_response_size`` in bytes; a longer answer kills the worker.

    TorchServe does not tell its workers. Its environment and its configuration file do: the
    file is named by ``TS_CONFIG_FILE`` or on the command line of the server, our parent.
    """
    path = os.environ.get("TS_CONFIG_FILE") or _config_of_parent()
    properties = _properties(Path(path)) if path else {}
    value = properties.get("max_response_size", "")
    if properties.get("enable_envvars_config", "").lower() == "true":
        value = os.environ.get("TS_MAX_RESPONSE_SIZE") or value
    return int(value) if value.isdecimal() else DEFAULT_MAX_RESPONSE


def _config_of_parent() -> str | None:
    """Return the ``-f`` argument of the parent process, where the system shows it (Linux)."""
    command = Path(f"/proc/{os.getppid()}/cmdline")
    if not command.is_file():
        return None
    words = command.read_bytes().decode(errors="replace").split("\0")
    for flag in ("-f", "--ts-config-file"):
        if flag in words[:-1]:
            return words[words.index(flag) + 1]
    return None


def _properties(path: Path) -> dict[str, str]:
    """Read a Java properties file, as far as plain words and numbers go."""
    base = Path(f"/proc/{os.getppid()}/cwd")
    file = path if path.is_absolute() else base / path
    if not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_bytes().decode("latin-1").splitlines())
    pairs = (re.fullmatch(r"([\w.]+)[ \t\f]*[=: \t\f][ \t\f]*(.*)", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}
