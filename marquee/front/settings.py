"""What the front door is set to: where it listens, what is behind it, how long it waits."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from marquee.archives import configuration
from marquee.errors import MarqueeError
from marquee.front import origins
from marquee.front.lanes import USUAL_HEAP, Lane, heap_of, lanes
from marquee.front.process import folder_of
from marquee.project import Project
from marquee.torchserve.connection import keys_of

FILE_NAME = "front.yaml"
MIN_API_KEY = 16
# HAProxy counts a time in milliseconds, with 31 bits.
LONGEST = 2147483
# What may stand in HAProxy's configuration without quotes. A socket's path has 107 bytes.
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]{1,80}")
# What means nothing else between its double quotes.
QUOTED_PATH = re.compile(r'[^"\\$\0-\x1f\x7f]+')
CONNECTIONS = 4096
TRACED = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def _path(value: Any) -> Any:
    return Path(value).expanduser() if isinstance(value, str) and value else value


def _origins(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return value
    return origins.read(",".join(texts), "allowed_origins")


def _seconds(default: float, description: str, most: int | None = None) -> Any:
    whole = "whole " if isinstance(default, int) else ""
    limit = "" if most is None else f", at most {most}"
    return Field(
        default,
        gt=0,
        le=most,
        title=f"{whole}seconds above 0{limit}",
        description=description,
        json_schema_extra={"unit": "seconds"},
    )


def _optional(title: str, description: str, **bounds: Any) -> Any:
    return Field(None, title=title, description=description, **bounds)


File = Annotated[Path, BeforeValidator(_path, json_schema_input_type=str)]
Origins = Annotated[
    tuple[str, ...], BeforeValidator(_origins, json_schema_input_type=str | list[str])
]
ADDRESS = "http://host:port or https://host:port"
Address = Annotated[
    str,
    Field(
        title=ADDRESS, pattern=r"^https?://(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?$"
    ),
]


NAME = r"^[A-Za-z0-9._-]+$"
ModelName = Annotated[str, Field(pattern=NAME)]
# HAProxy counts with 63 bits, Content-Length has no more.
Size = Annotated[int, Field(ge=1, lt=1 << 63)]


class FrontFile(BaseModel):
    """The settings of the front door of `marquee serve --front`: config/front.yaml."""

    # A title says what a value may be, for errors, editors and the page of settings.
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, title=FILE_NAME
    )

    tls_certificate: File | None = _optional(
        "the path of a file",
        "PEM file with certificate and private key, for addresses that begin with https://.",
    )
    api_key_file: File | None = _optional(
        "the path of a file",
        f"File (mode 0600) with one more key for inference, of at least {MIN_API_KEY} characters, "
        "that stays the same over restarts.",
    )
    default_model: str | None = _optional(
        "the name of a model: letters, digits and _ - . only",
        "Who answers /invocations when a request names no model. Without it: the only model.",
        pattern=NAME,
    )
    request_timeout: int = _seconds(
        3600, "For an answer; a model's own responseTimeout ends it before.", LONGEST
    )
    client_timeout: int = _seconds(60, "For a client that neither sends nor reads.", LONGEST)
    keep_alive_timeout: int = _seconds(
        75,
        "For the next request on an open connection; longer than that of a load balancer in front.",
        LONGEST,
    )
    drain_timeout: int = _seconds(120, "For the requests in flight when the server stops.")
    probe_interval: float = _seconds(
        30.0, "From a proof that a model answers to the next request of its example."
    )
    probe_timeout: float = _seconds(
        20.0, "For the answer to its example; a model that is slow by nature may take longer."
    )
    sticky_header: str | None = _optional(
        "the name of a request header",
        "Requests with the same value of this header get the same version while a canary is tried.",
        pattern=r"^[A-Za-z0-9-]{1,64}$",
    )
    max_request_sizes: dict[ModelName, Size] = Field(
        default={},
        title="names of models, each with a number of bytes above 0",
        description="What models take, where that is less than max_request_size: {cifar: "
        "10000000}. More is refused before it is sent.",
    )
    allowed_origins: Origins = Field(
        default=(),
        title="a text or a list of texts such as https://pages.example",
        description="Web pages of other origins that may ask (CORS): scheme, host and port; * for "
        "all. Without it: cors_allowed_origin in config.properties.",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _in_a_sentence(
        cls, values: Any, handler: ModelWrapValidatorHandler[FrontFile]
    ) -> FrontFile:
        try:
            return handler(values)
        except ValidationError as error:
            raise MarqueeError(_sentence(error, cls)) from error


class FrontSettings(FrontFile):
    """Everything that the configuration is written from.

    Attributes:
        folder: a private folder (0700) for the configuration, maps and sockets.
        inference_address: where to listen; https takes a certificate.
        management_address: the same; None does not open it.
        key_file: TorchServe's key file, whose keys are asked for; None asks for none.
        open_to_all: nobody is asked for a key; the door shows TorchServe its own.
        max_request_size: bytes of a body.
        heap: bytes that Java has for bodies.
        ready_when_empty: whether a server without any model is ready.
        models_socket: who answers ``/models`` without ``/invoke``; None leaves it to TorchServe.
        ping_fields: what the body of ``/ping`` has besides ``status`` and ``models``.
        execution_parameters: what ``/execution-parameters`` answers; None leaves it unanswered.
        traced: whether workers are told when a request arrived, for their traces.
    """

    folder: Path
    inference_address: Address
    management_address: Address | None = Field(default=None, title=ADDRESS)
    key_file: Path | None = None
    open_to_all: bool = False
    max_request_size: int = Field(default=104857600, ge=1, title="bytes above 0")
    heap: int = Field(default=USUAL_HEAP, ge=1, title="bytes above 0")
    ready_when_empty: bool = False
    models_socket: Path | None = None
    ping_fields: Mapping[str, Any] = {}
    execution_parameters: Mapping[str, int | str] | None = None
    traced: bool = False

    @model_validator(mode="after")
    def _check(self) -> FrontSettings:
        """Refuse what HAProxy would refuse, or misread."""
        if not PLAIN_PATH.fullmatch(str(self.folder)):
            raise MarqueeError(
                f"the front's folder {self.folder} must have a plain path of at most 80 letters, "
                "digits and ._/+-; set TEMP to another folder"
            )
        self._check_files()
        return self

    def _check_files(self) -> None:
        for name in ("tls_certificate", "api_key_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise MarqueeError(f"{name} is {path}: there is no such file")
        certificate = self.tls_certificate
        if certificate is not None and not QUOTED_PATH.fullmatch(str(certificate)):
            raise MarqueeError(
                f'tls_certificate is {str(certificate)!r}, expected a path without quotes ("), '
                "\\, $ and line breaks; rename the file or its folder"
            )
        for address in (self.inference_address, self.management_address):
            if certificate is None and (address or "").startswith("https:"):
                raise MarqueeError(
                    f"{address} wants TLS, and no tls_certificate is set; name a PEM file with "
                    f"certificate and key in config/{FILE_NAME}"
                )

    @property
    def inference_socket(self) -> Path:
        """Where TorchServe takes inference requests."""
        return self.folder / "inference.sock"

    @property
    def pages_socket(self) -> Path:
        """Where ``/docs`` and ``/openapi.json`` are answered."""
        return self.folder / "pages.sock"

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

    @property
    def lanes(self) -> list[Lane]:
        """How many bodies of which size TorchServe gets at once."""
        return lanes(self.heap, self.max_request_size)

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


def _sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is wrong with the first value that is, and what it may be."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name not in model.model_fields:
        return f"unknown setting {name!r}; known are {', '.join(model.model_fields)}"
    return f"{name} is {first['input']!r}, expected {model.model_fields[name].title}"


def is_traced(environ: Mapping[str, str]) -> bool:
    """Tell whether somebody takes the traces that workers make; they heed more variables."""
    return any(environ.get(name) for name in TRACED)


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
    # TorchServe's own setting, which it cannot keep behind the door.
    allowed = origins.read(properties.get("cors_allowed_origin", ""), "cors_allowed_origin")
    return FrontSettings(
        folder=folder_of(project),
        inference_address=properties["inference_address"],
        management_address=properties["management_address"],
        key_file=None if keys is None else keys.path,
        max_request_size=int(properties.get("max_request_size", "6553500")),
        heap=heap_of(properties),
        traced=is_traced(project.environ),
        **{"allowed_origins": allowed, **_file(project)},
    )


def _file(project: Project) -> dict[str, Any]:
    """Return what config/front.yaml sets."""
    path = project.root / "config" / FILE_NAME
    if not path.is_file():
        return {}
    content = configuration.load(path.read_bytes(), path) or {}
    if not isinstance(content, dict):
        raise MarqueeError(f"{path} must hold lines such as 'request_timeout: 3600'")
    try:
        settings = FrontFile.model_validate(content).model_dump(exclude_unset=True)
    except MarqueeError as error:
        raise MarqueeError(f"{path}: {error}") from error
    return {
        name: project.root / value if isinstance(value, Path) else value
        for name, value in settings.items()
    }
