"""Write what HAProxy reads, its configuration, maps and key lists, into the front's folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from marquee.errors import MarqueeError
from marquee.files import write_private
from marquee.front import maps
from marquee.front.lanes import LIGHT
from marquee.front.process import Haproxy
from marquee.front.refusals import ERRORS, REFUSALS
from marquee.front.settings import FrontSettings

SOURCES = Path(__file__).parent


def write(settings: FrontSettings, state: Mapping[str, str] | None = None) -> None:
    """Write everything that HAProxy reads.

    Args:
        settings: what to write it from.
        state: the entries of the state map of a running door, which outlive a reload.

    Raises:
        MarqueeError: a key file is missing or unsafe.
    """
    folder = settings.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for script in ("query.lua", "form.lua"):
        (folder / script).write_text((SOURCES / script).read_text())
    maps.write(folder / maps.STATE, state or maps.first_state())
    for name in (maps.CANARY, maps.NAMES, maps.LOADED):
        (folder / name).touch(mode=0o600)
    sizes = {model: str(size) for model, size in settings.max_request_sizes.items()}
    maps.write(folder / maps.SIZES, sizes)
    (folder / "origins.list").write_text("".join(f"{one}\n" for one in settings.allowed_origins))
    _write_keys(settings)
    write_private(Haproxy(folder).config, render(settings))


def render(settings: FrontSettings) -> str:
    """Return the configuration."""
    environment = Environment(
        loader=FileSystemLoader(SOURCES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no page: what may stand in a line is checked
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("haproxy.cfg.j2")
    return template.render(
        settings=settings,
        refusals=REFUSALS,
        errors=ERRORS,
        host_port=host_port,
        light=LIGHT,
        version=metadata.version("marquee"),
    )


def _one_line(value: Any) -> Any:
    """Return a value that is printed into the configuration: one line must stay one."""
    if re.search(r"[\0-\x1f\x7f]", str(value)):
        raise MarqueeError(f"{value!r} cannot stand in the front's configuration: it is no line")
    return value


def host_port(address: str) -> str:
    """Return where to listen, as HAProxy has it; IPv6 in brackets."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (
        f"[{parts.hostname}]:{port}" if ":" in str(parts.hostname) else f"{parts.hostname}:{port}"
    )


def _write_keys(settings: FrontSettings) -> None:
    """Write what keys are compared with: digests, and the key that an API key stands for."""
    if settings.key_file is None:
        return
    try:
        content = json.loads(settings.key_file.read_text())
        keys = {kind: f"Bearer {content[kind]['key']}" for kind in ("inference", "management")}
    except (OSError, ValueError, KeyError, TypeError) as failed:
        raise MarqueeError(
            f"{settings.key_file} has no keys ({failed}); restart the server"
        ) from failed
    for kind, header in keys.items():
        write_private(settings.folder / f"{kind}.keys", _digest(header) + "\n")
    api_key = settings.api_key()
    if api_key is not None:
        write_private(settings.folder / "api.keys", _digest(f"Bearer {api_key}") + "\n")
    if api_key is not None or settings.open_to_all:
        maps.write(settings.folder / maps.KEYS, {"inference": keys["inference"]})


def _digest(header: str) -> str:
    return hashlib.sha256(header.encode()).hexdigest().upper()  # as HAProxy prints it
