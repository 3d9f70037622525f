"""Read TorchServe's configuration as TorchServe does: the file, then the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from marquee.errors import MarqueeError

DEFAULTS = {
    "inference_address": "http://127.0.0.1:8080",
    "management_address": "http://127.0.0.1:8081",
    "metrics_address": "http://127.0.0.1:8082",
    "grpc_inference_port": "7070",
    "grpc_management_port": "7071",
    "model_store": "model_store",
}
# Read from the file only, whatever the environment says.
FILE_ONLY = ("vmargs", "enable_envvars_config", "use_env_allowed_urls")
VARIABLES = {"token_expiration_min": "TS_TOKEN_EXPIRATION_TIME_MIN"}


def variable(name: str) -> str:
    """Return the environment variable that overrides the property ``name``."""
    return VARIABLES.get(name, f"TS_{name.upper()}")


def read(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the effective properties of the configuration file ``path``.

    Raises:
        MarqueeError: no such file, or a TS_ variable that is set but empty.
    """
    if not path.is_file():
        raise MarqueeError(f"{path}: there is no such configuration file")
    properties = DEFAULTS | _parse(path.read_text())
    if properties.get("enable_envvars_config", "").lower() != "true":
        return properties
    for name in set(properties) - set(FILE_ONLY):
        value = environment.get(variable(name))
        if value == "":
            # TorchServe would die on it with "For input string".
            raise MarqueeError(f"{variable(name)} is set but empty; unset it or give it a value")
        if value is not None:
            properties[name] = value
    return properties


def _parse(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
