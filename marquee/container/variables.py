"""The environment as users of AWS's PyTorch containers know it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from marquee.container.inherited import OURS, TORCHSERVE
from marquee.errors import MarqueeError
from marquee.front import origins

PREFIXES = ("TS_", "SAGEMAKER_")
MOST = 1 << 31
ORIGINS = "TS_CORS_ALLOWED_ORIGIN"
# What the platform or the toolkits set, and nothing here needs.
WITHOUT_EFFECT = (
    "SAGEMAKER_CONTAINER_LOG_LEVEL",
    "SAGEMAKER_ENABLE_CLOUDWATCH_METRICS",
    "SAGEMAKER_HANDLER",
    "SAGEMAKER_JOB_NAME",
    "SAGEMAKER_REGION",
)


def _truth(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lower() not in ("true", "false", "1", "0"):
        raise ValueError("neither")
    return value.lower() in ("true", "1")


def _port_range(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    ports = [int(part) for part in value.split("-") if part.strip().isdecimal()]
    if len(ports) != 2 or not 1 <= ports[0] <= ports[1] <= 65535:
        raise ValueError("no range of ports")
    return tuple(ports)


def _folder(value: Any) -> Any:
    if "://" in str(value) or not Path(value).is_absolute():
        raise ValueError("no folder")
    return value


def _origins(value: Any) -> Any:
    return origins.read(value, ORIGINS) if isinstance(value, str) else value


PortRange = Annotated[
    tuple[int, int],
    BeforeValidator(_port_range),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+-[0-9]+$"}),
]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins), WithJsonSchema({"type": "string"})]


def _variable(*names: str, title: str, text: str, default: Any = None) -> Any:
    """Describe what a variable sets; of several names the first that is set counts.

    Args:
        names: of the variable.
        title: what it may be.
        text: what it is for.
        default: where none is set.
    """
    alias = AliasChoices(*names)
    return Field(default, validation_alias=alias, title=title, description=text)


def _number(*names: str, text: str, unit: str, default: Any = None, **bounds: int) -> Any:
    least, most = bounds.get("least", 1), bounds.get("most", MOST)
    return Field(
        default,
        validation_alias=AliasChoices(*names),
        title=f"a whole number from {least} to {most}",
        description=text,
        ge=least,
        le=most,
        json_schema_extra={"unit": unit},
    )


class Settings(BaseModel):
    """What the container's environment asks for; None where it leaves the choice."""

    # A title says what a value may be, for errors and editors.
    model_config = ConfigDict(frozen=True, populate_by_name=True)

    port: int = _number(
        "SAGEMAKER_BIND_TO_PORT",
        default=8080,
        most=65535,
        unit="port",
        text="Where SageMaker, or anybody, sends requests to.",
    )
    safe_ports: PortRange | None = _variable(
        "SAGEMAKER_SAFE_PORT_RANGE",
        title="two ports as FIRST-LAST",
        text="Three of them are used inside, on loopback: metrics, and gRPC twice.",
    )
    base_dir: Path = _variable(
        "SAGEMAKER_BASE_DIR",
        default=Path("/opt/ml"),
        title="a folder",
        text="Has model, input and output.",
    )
    multi_model: Annotated[bool, BeforeValidator(_truth)] = _variable(
        "SAGEMAKER_MULTI_MODEL",
        default=False,
        title="true or false",
        text="Models come and go by requests to /models.",
    )
    default_model: str | None = _variable(
        "SAGEMAKER_DEFAULT_MODEL",
        title="the name of a model",
        text="Who answers /invocations when nobody is named.",
    )
    program: str | None = _variable(
        "SAGEMAKER_PROGRAM", title="the name of a file", text="The script, else inference.py."
    )
    code_dir: Annotated[Path, BeforeValidator(_folder)] | None = _variable(
        "SAGEMAKER_SUBMIT_DIRECTORY",
        title="a folder in the container (SageMaker unpacks model.tar.gz there)",
        text="The script's folder, else code in the model folder.",
    )
    requirements: str | None = _variable(
        "SAGEMAKER_REQUIREMENTS",
        title="the name of a file",
        text="A requirements file in the script's folder, to be installed at start.",
    )
    accept: str | None = _variable(
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
        title="a media type",
        text="What a script is told where no Accept is sent, else application/json.",
    )
    batch_size: int | None = _number(
        "SAGEMAKER_TS_BATCH_SIZE", unit="requests", text="Requests in a batch."
    )
    max_batch_delay: int | None = _number(
        "SAGEMAKER_TS_MAX_BATCH_DELAY", least=0, unit="ms", text="How long a batch waits to fill."
    )
    min_workers: int | None = _number(
        "SAGEMAKER_TS_MIN_WORKERS",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
        "TS_DEFAULT_WORKERS_PER_MODEL",
        unit="workers",
        text="Of each model, at the least.",
    )
    max_workers: int | None = _number(
        "SAGEMAKER_TS_MAX_WORKERS",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
        "TS_DEFAULT_WORKERS_PER_MODEL",
        unit="workers",
        text="Of each model, at the most.",
    )
    response_timeout: int | None = _number(
        "SAGEMAKER_TS_RESPONSE_TIMEOUT",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT",
        "TS_DEFAULT_RESPONSE_TIMEOUT",
        unit="seconds",
        text="For an answer.",
    )
    startup_timeout: int | None = _number(
        "SAGEMAKER_STARTUP_TIMEOUT", unit="seconds", text="For a worker to load."
    )
    max_payload_mb: int | None = _number(
        "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        most=2000,
        unit="MB",
        text="Of a request and of an answer, else 100.",
    )
    java_options: str | None = _variable(
        "SAGEMAKER_MODEL_SERVER_VMARGS", title="options of java", text="More words for the JVM."
    )
    allowed_origins: Origins | None = _variable(
        ORIGINS,
        title="origins with commas, *, or none",
        text="Web pages of other origins that may ask.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_digits(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what Python takes for a number and nobody else does, such as ``1_0``."""
        field = cls.model_fields[str(info.field_name)]
        is_number = field.annotation in (int, int | None)
        if is_number and isinstance(value, str) and not value.strip().isdecimal():
            raise ValueError("no whole number")
        return value

    @model_validator(mode="after")
    def _check_workers(self) -> Settings:
        least, most = self.min_workers, self.max_workers
        if least is not None and most is not None and least > most:
            raise MarqueeError(
                f"SAGEMAKER_TS_MIN_WORKERS is {least} and SAGEMAKER_TS_MAX_WORKERS {most}; "
                "expected the first to be no larger than the second"
            )
        return self

    @property
    def model_dir(self) -> Path:
        """The model folder that is served as it is at start."""
        return self.base_dir / "model"


def fields_of_variables() -> dict[str, str]:
    """Return variable -> the first field that it sets."""
    found: dict[str, str] = {}
    for field, about in Settings.model_fields.items():
        if isinstance(about.validation_alias, AliasChoices):
            for name in about.validation_alias.choices:
                found.setdefault(str(name), field)
    return found


def read(environ: Mapping[str, str]) -> Settings:
    """Read the variables; an empty one counts as not set.

    Raises:
        MarqueeError: a value cannot be understood.
    """
    fields = fields_of_variables()
    given = {name: environ[name] for name in fields if environ.get(name, "").strip()}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        expected = Settings.model_fields[fields[name]].title
        raise MarqueeError(f"{name} is {given[name]!r}; expected {expected}") from error


def warnings(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that somebody may think has an effect."""
    known = fields_of_variables()
    for name in sorted(environ):
        if not name.startswith(PREFIXES) or name in WITHOUT_EFFECT:
            continue
        if name in OURS:
            yield f"{name} has no effect here: {OURS[name]}"
        elif name not in known and name not in TORCHSERVE:
            yield f"{name} is not known here and has no effect; docs/container.md lists what is"
        elif not environ[name].strip():
            yield f"{name} is empty and counts as not set"
