"""What the front door is told: where it listens, what is behind it, how long it waits."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from marquee.errors import MarqueeError
from marquee.front import origins
from marquee.project import Project
from marquee.torchserve.connection import keys_of

FILE_NAME = "front.yaml"
MIN_API_KEY = 16
HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
# What may stand in HAProxy's configuration without quotes. A socket's path has 107 bytes.
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]{1,80}")
CONNECTIONS = 4096


@dataclass(frozen=True)
class FrontSettings:
    """Everything that the configuration is written from.

    Attributes:
        folder: a private folder (0700) for the configuration, maps and sockets.
        inference: where to listen, such as ``http://127.0.0.1:8080``; https takes a certificate.
        management: the same for the management address; None does not open it.
        key_file: TorchServe's key file, whose keys are asked for; None asks for none.
        open_to_all: nobody is asked for a key; the door shows TorchServe its own.
        tls_certificate: PEM file with certificate and key.
        api_key_file: a file with one more key for inference.
        default_model: who answers ``/invocations`` when no model is named.
        max_request_size: bytes of a body.
        request_timeout: seconds for an answer.
        client_timeout: seconds for a client that neither sends nor reads.
        keep_alive_timeout: seconds for the next request on an open connection.
        drain_timeout: seconds for the requests in flight when the server stops.
        probe_interval: seconds from a proof that a model answers to the next question.
        probe_timeout: seconds for the answer to an example.
        sticky_header: the request header that a canary is sticky by.
        allowed_origins: the web pages that may ask, as ``https://pages.example``; ``*`` for all.
        ready_when_empty: whether a server without any model is ready.
        models_socket: who answers ``/models`` without ``/invoke``; None leaves it to TorchServe.
        ping_fields: what the body of ``/ping`` has besides ``status`` and ``models``.
    """

    folder: Path
    inference: str
    management: str | None
    key_file: Path | None
    open_to_all: bool = False
    tls_certificate: Path | None = None
    api_key_file: Path | None = None
    default_model: str | None = None
    max_request_size: int = 104857600
    request_timeout: int = 3600
    client_timeout: int = 60
    keep_alive_timeout: int = 75
    drain_timeout: int = 120
    probe_interval: float = 30
    probe_timeout: float = 20
    sticky_header: str | None = None
    allowed_origins: tuple[str, ...] = ()
    ready_when_empty: bool = False
    models_socket: Path | None = None
    ping_fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what HAProxy would refuse, or misread.

        Raises:
            MarqueeError: which setting, and what it may be.
        """
        if not PLAIN_PATH.fullmatch(str(self.folder)):
            raise MarqueeError(
                f"the front's folder {self.folder} must have a plain path of at most 80 letters, "
                "digits and ._/+-; set TEMP to another folder"
            )
        if self.sticky_header is not None and not HEADER.fullmatch(self.sticky_header):
            raise MarqueeError(
                f"sticky_header is {self.sticky_header!r}, expected the name of a request header"
            )
        if self.secure and self.tls_certificate is None:
            raise MarqueeError(
                f"{self.inference} wants TLS, and no tls_certificate is set; name a PEM file with "
                f"certificate and key in config/{FILE_NAME}"
            )
        for name in ("tls_certificate", "api_key_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise MarqueeError(f"{name} is {path}: there is no such file")

    @property
    def secure(self) -> bool:
        """Whether an address takes TLS."""
        return any((address or "").startswith("https:") for address in self.addresses)

    @property
    def addresses(self) -> tuple[str, str | None]:
        """Where the door listens."""
        return self.inference, self.management

    @property
    def inference_socket(self) -> Path:
        """Where TorchServe takes inference requests."""
        return self.folder / "inference.sock"

    @property
    def management_socket(self) -> Path:
        """Where TorchServe takes management requests."""
        return self.folder / "management.sock"

    @property
    def connections(self) -> int:
        """How many connections there may be; each takes two of the files a process may open."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = hard == resource.RLIM_INFINITY
        return CONNECTIONS if unlimited else max(64, min(CONNECTIONS, hard // 2 - 64))

    def api_key(self) -> str | None:
        """Return the operator's own key.

        Raises:
            MarqueeError: the file is readable by others, or holds no good key.
        """
        path = self.api_key_file
        if path is None:
            return None
        if path.stat().st_mode & 0o077:
            raise MarqueeError(f"api_key_file {path} can be read by others; chmod 600 {path}")
        key = path.read_text().strip()
        if len(key) < MIN_API_KEY or not re.fullmatch(r"[!-~]+", key):
            raise MarqueeError(
                f"api_key_file {path} must hold one key of at least {MIN_API_KEY} characters, "
                "without spaces"
            )
        return key


def folder_of(project: Project) -> Path:
    """Return the front's folder in the project's private temporary folder."""
    return project.temp / "front"


def read(project: Project) -> FrontSettings:
    """Return the settings of a project: its properties, and config/front.yaml.

    Raises:
        MarqueeError: a line of the file is unknown or has an impossible value.
    """
    properties = project.properties
    if properties.get("enable_envvars_config", "").lower() != "true":
        raise MarqueeError(
            f"{project.config_file} must say enable_envvars_config=true for a front door: "
            "TorchServe is told by variables to move behind it"
        )
    keys = keys_of(project)
    named: dict[str, Any] = {
        # TorchServe's own setting, which it cannot keep behind the door.
        "allowed_origins": origins.read(
            properties.get("cors_allowed_origin", ""), "cors_allowed_origin"
        ),
        **_file(project.root / "config" / FILE_NAME),
    }
    return FrontSettings(
        folder=folder_of(project),
        inference=_web(properties, "inference_address"),
        management=_web(properties, "management_address"),
        key_file=None if keys is None else keys.path,
        max_request_size=int(properties.get("max_request_size", "6553500")),
        **named,
    )


def _web(properties: Mapping[str, str], name: str) -> str:
    address = properties[name]
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MarqueeError(f"{name} is {address}, expected http://host:port or https://host:port")
    return address


def _file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise MarqueeError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise MarqueeError(f"{path} must hold lines such as 'request_timeout: 3600'")
    return {name: _value(path, name, value) for name, value in found.items()}


def _value(path: Path, name: str, value: Any) -> Any:
    if name not in KINDS:
        raise MarqueeError(f"{path}: unknown setting {name!r}; known are {', '.join(KINDS)}")
    kind = KINDS[name]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind.startswith(("int", "float")):
        if not number or value <= 0 or (kind == "int" and not isinstance(value, int)):
            raise MarqueeError(f"{path}: {name} is {value!r}, expected seconds above 0")
        return value
    if kind.startswith("tuple"):
        return _origins(path, name, value)
    if not isinstance(value, str) or not value:
        raise MarqueeError(f"{path}: {name} is {value!r}, expected a text")
    return path.parent.parent / Path(value).expanduser() if kind.startswith("Path") else value


def _origins(path: Path, name: str, value: Any) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise MarqueeError(
            f"{path}: {name} is {value!r}, expected a text or a list of texts such as "
            "https://pages.example"
        )
    return origins.read(",".join(texts), f"{path}: {name}")


# What the file may say; all else is the project's or the container's own.
FROM_FILE = (
    "tls_certificate",
    "api_key_file",
    "default_model",
    "request_timeout",
    "client_timeout",
    "keep_alive_timeout",
    "drain_timeout",
    "probe_interval",
    "probe_timeout",
    "sticky_header",
    "allowed_origins",
)
KINDS = {one.name: str(one.type) for one in fields(FrontSettings) if one.name in FROM_FILE}
