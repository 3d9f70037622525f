"""Read TorchServe's configuration as TorchServe does: the file, then the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from marquee import javaproperties
from marquee.errors import MarqueeError

DEFAULTS = {
    "inference_address": "http://127.0.0.1:8080",
    "management_address": "http://127.0.0.1:8081",
    "metrics_address": "http://127.0.0.1:8082",
    "grpc_inference_port": "7070",
    "grpc_management_port": "7071",
    "model_store": "model_store",
    "service_envelope": "",
}
# Read from the file only, whatever the environment says.
FILE_ONLY = ("vmargs", "enable_envvars_config", "use_env_allowed_urls", "marquee.trust")
VARIABLES = {"token_expiration_min": "TS_TOKEN_EXPIRATION_TIME_MIN"}
ADDRESSES = ("inference_address", "management_address", "metrics_address")
GRPC_PORTS = ("grpc_inference_port", "grpc_management_port")
BYTES = ("max_request_size", "max_response_size")
# TorchServe puts environment variables in the place of their names: $$HOME$$.
NAMED = re.compile(r"\$\$([^$]+[^$])\$\$")
# What TorchServe's launcher reads by itself: lines NAME=VALUE as they stand, and no others.
LAUNCHERS = ("vmargs", "plugins_path")


def variable(name: str) -> str:
    """Return the environment variable that overrides the property ``name``."""
    return VARIABLES.get(name, f"TS_{name.upper()}")


def read(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the effective properties of the configuration file ``path``.

    Raises:
        MarqueeError: no such file, a TS_ variable that is set but empty, or a value that cannot be.
    """
    given = _resolved(load(path), environ)
    properties = DEFAULTS | given
    if properties.get("enable_envvars_config", "").lower() == "true":
        properties |= _overridden(properties, environ)
    _check(properties)
    return properties


def _overridden(properties: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the properties that the environment sets."""
    found = {}
    for name in set(properties) - set(FILE_ONLY):
        value = environ.get(variable(name))
        if value == "":
            # TorchServe would die on it with "For input string".
            raise MarqueeError(f"{variable(name)} is set but empty; unset it or give it a value")
        if value is not None:
            found[name] = value
    return found


def load(path: Path) -> dict[str, str]:
    """Return what Java reads in a configuration file.

    Raises:
        MarqueeError: no such file, or Java would not read what it seems to say.
    """
    if not path.is_file():
        raise MarqueeError(f"{path}: there is no such configuration file")
    content = path.read_bytes()
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise MarqueeError(
            f"{path} begins with a byte order mark, which Java would take for a part of the first "
            "name; save it as plain text without one (ASCII, or ISO 8859-1)"
        )
    try:
        # Whatever the machine's own encoding is: Java reads these files so.
        return javaproperties.loads(content.decode("latin-1"))
    except ValueError as error:
        raise MarqueeError(f"{path} cannot be read: {error}") from error


def _resolved(given: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Put the environment's values where the file names its variables."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in environ:
            raise MarqueeError(f"the configuration names $${found[1]}$$, and no {found[1]} is set")
        return environ[found[1]]

    return {name: NAMED.sub(value, text) for name, text in given.items()}


def _check(properties: Mapping[str, str]) -> None:
    """Refuse what TorchServe would refuse, or nobody could connect to."""
    for names, fits, expected in (
        (ADDRESSES, _is_address, "http://HOST:PORT or https://HOST:PORT"),
        (BYTES, lambda text: text.strip().isdecimal(), "a number of bytes"),
        (GRPC_PORTS, _is_port, "a port of at most 65535"),
    ):
        for name in names:
            if name in properties and not fits(properties[name]):
                raise MarqueeError(
                    f"{name} is {properties[name]!r}, expected {expected}; set {variable(name)} or "
                    "mend the line in the configuration file"
                )


def _is_address(text: str) -> bool:
    if text.startswith("unix:"):
        return True
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != -1
    except ValueError:  # a port that is none, a bracket that is not closed
        return False


def _is_port(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdecimal() and int(text[:6]) < 1 << 16


def for_launcher(path: Path, into: Path) -> Path:
    """Return a configuration file that TorchServe's launcher reads as Java does.

    The launcher knows lines ``NAME=VALUE`` only, and looks for Java's own options in them; so do
    the workers for what they need. Where they would misread it, it is written again, in ``into``.
    """
    given = load(path)
    wanted = {name: " ".join(given[name].split()) for name in LAUNCHERS if name in given}
    read_as = _seen_by_launcher(path)
    if read_as == {name: value.strip() for name, value in given.items()}:
        return path
    made = into / "launch.properties"
    lines = [javaproperties.line(*pair) for pair in given.items() if pair[0] not in LAUNCHERS]
    lines += [f"{name}={value}" for name, value in wanted.items()]
    made.write_text("\n".join([*lines, ""]), encoding="latin-1", errors="backslashreplace")
    return made


def _seen_by_launcher(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_bytes().decode("latin-1").splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
