"""The environment as users of AWS's PyTorch containers know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
LARGEST_MB = 2000
CODE = "SAGEMAKER_SUBMIT_DIRECTORY"
ORIGINS = "TS_CORS_ALLOWED_ORIGIN"
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS TS_DEFAULT_WORKERS_PER_MODEL"
# What the platform or the toolkits set, and nothing here needs.
WITHOUT_EFFECT = (
    "SAGEMAKER_BATCH",
    "SAGEMAKER_BATCH_STRATEGY",
    "SAGEMAKER_CONTAINER_LOG_LEVEL",
    "SAGEMAKER_ENABLE_CLOUDWATCH_METRICS",
    "SAGEMAKER_HANDLER",
    "SAGEMAKER_JOB_NAME",
    "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
    "SAGEMAKER_REGION",
)


def _from_text(read_text: Callable[[str], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: read_text(value) if isinstance(value, str) else value)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError("neither")
    return text.lower() in ("true", "1")


def _port_range(text: str) -> tuple[int, ...]:
    ports = [int(part) for part in text.split("-") if part.strip().isdecimal()]
    if len(ports) != 2 or not 1 <= ports[0] <= ports[1] <= 65535:
        raise ValueError("no range of ports")
    return tuple(ports)


def _folder(text: str) -> str | None:
    """Return a folder of the container; nothing for an address, which AWS's toolkit passes over."""
    return text if "://" not in text and Path(text).is_absolute() else None


def _absolute(text: str) -> Path:
    if not Path(text).is_absolute():
        raise ValueError("no whole path")
    return Path(text)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(_absolute(word.strip()) for word in text.split(",") if word.strip())


PortRange = Annotated[
    tuple[int, int],
    _from_text(_port_range),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+-[0-9]+$"}),
]
Origins = Annotated[
    tuple[str, ...],
    _from_text(lambda text: origins.read(text, ORIGINS)),
    WithJsonSchema({"type": "string"}),
]


def _variable(names: str, title: str, text: str, default: Any = None, **bounds: Any) -> Any:
    """Describe a variable by what it may be (title) and is for (text), as docs/container.md does.

    Of several names the first that is set counts.
    """
    alias = AliasChoices(*names.split())
    return Field(default, validation_alias=alias, title=title, description=text, **bounds)


def _number(
    names: str, text: str, unit: str = "", *, default: Any = None, least: int = 1, most: int = MOST
) -> Any:
    title = f"a whole number from {least} to {most}" + (f", in {unit}" if unit else "")
    return _variable(names, title, text, default, ge=least, le=most)


class ContainerSettings(BaseModel):
    """What the container's environment asks for; None where it leaves the choice."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    port: int = _number(
        "SAGEMAKER_BIND_TO_PORT",
        "Where SageMaker, or anybody, sends requests to.",
        default=8080,
        most=65535,
    )
    safe_ports: PortRange | None = _variable(
        "SAGEMAKER_SAFE_PORT_RANGE",
        "two ports as FIRST-LAST",
        "Three of them are used inside, on loopback: metrics, and gRPC twice. Without it: 8082, "
        "7070, 7071.",
    )
    base_dir: Path = _variable(
        "SAGEMAKER_BASE_DIR",
        "a folder",
        "Has the folders `model`, `input` and `output`.",
        Path("/opt/ml"),
    )
    model_folder: Annotated[Path | None, _from_text(_absolute)] = _variable(
        "MARQUEE_MODEL_DIR",
        "the path of a folder, from the root on",
        "The model folder, such as KServe's `/mnt/models`. Without it: `model` in the folder "
        "above.",
    )
    model_name: str | None = _variable(
        "MARQUEE_MODEL_NAME",
        "the name of a model: letters, digits and _ - . only",
        "What the folder's only model is called, such as KServe's name for it. Without it: as its "
        "archive says.",
        pattern=r"^[A-Za-z0-9](?:\.?[A-Za-z0-9_-])*$",
        max_length=160,
    )
    multi_model: Annotated[bool, _from_text(_truth)] = _variable(
        "SAGEMAKER_MULTI_MODEL",
        "true or false",
        "Models come and go by requests to `/models`.",
        False,
    )
    default_model: str | None = _variable(
        "SAGEMAKER_DEFAULT_MODEL",
        "the name of a model",
        "Who answers `/invocations` when nobody is named. Without it: the only model.",
    )
    trusted_keys: Annotated[tuple[Path, ...], _from_text(_paths)] = _variable(
        "MARQUEE_TRUST",
        "paths of files, from the root on, with commas between them",
        "Public keys in PEM, one of which must have signed an archive before it is served; see "
        "[Signatures](operations.md#signatures). Without it: any archive is, and any script.",
        (),
    )
    program: str | None = _variable(
        "SAGEMAKER_PROGRAM", "the name of a file", "The script. Without it: `inference.py`."
    )
    code_dir: Annotated[Path | None, _from_text(_folder)] = _variable(
        CODE,
        "a folder in the container (SageMaker unpacks model.tar.gz there)",
        "The script's folder, where there is such a one. Without it, and for addresses such as "
        "`s3://…` and `file://…`: `code` in the model folder.",
    )
    requirements: str | None = _variable(
        "SAGEMAKER_REQUIREMENTS",
        "the name of a file",
        "A requirements file in the script's folder, to be installed at start.",
    )
    accept: str | None = _variable(
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
        "a media type",
        "What a script is told where no Accept is sent. Without it: `application/json`.",
    )
    batch_size: int | None = _number("SAGEMAKER_TS_BATCH_SIZE", "Requests in a batch.")
    max_batch_delay: int | None = _number(
        "SAGEMAKER_TS_MAX_BATCH_DELAY",
        "How long a batch waits to fill; 0 is taken as 1: TorchServe would take it for 100.",
        "ms",
        least=0,
    )
    min_workers: int | None = _number(
        f"SAGEMAKER_TS_MIN_WORKERS {WORKERS}", "Of each model, at least."
    )
    max_workers: int | None = _number(
        f"SAGEMAKER_TS_MAX_WORKERS {WORKERS}", "Of each model, at most."
    )
    response_timeout: int | None = _number(
        "SAGEMAKER_TS_RESPONSE_TIMEOUT SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS "
        "SAGEMAKER_MODEL_SERVER_TIMEOUT TS_DEFAULT_RESPONSE_TIMEOUT",
        "For an answer.",
        "seconds",
    )
    startup_timeout: int | None = _number(
        "SAGEMAKER_STARTUP_TIMEOUT", "For a worker to load.", "seconds"
    )
    max_payload_mb: int | None = _number(
        "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "Of a request; of an answer where it is more than 100. Without it: 100. 0, which batch "
        "transform takes for no limit: 2000.",
        "MB",
        least=0,
        most=LARGEST_MB,
    )
    java_options: str | None = _variable(
        "SAGEMAKER_MODEL_SERVER_VMARGS", "options of java", "More words for the JVM."
    )
    allowed_origins: Origins | None = _variable(
        ORIGINS,
        "origins with commas between them, `*`, or `none`",
        "Web pages of other origins that may ask: `https://pages.example,http://localhost:3000`. "
        "Without it: none, or those that the model's `container.yaml` names. See "
        "[Pages of other origins](operations.md#pages-of-other-origins).",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_digits(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what Python takes for a number and nobody else does, such as ``1_0``."""
        is_number = cls.model_fields[str(info.field_name)].annotation in (int, int | None)
        if is_number and isinstance(value, str) and not value.strip().isdecimal():
            raise ValueError("no whole number")
        return value

    @model_validator(mode="after")
    def _check_workers(self) -> ContainerSettings:
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
        return self.model_folder or self.base_dir / "model"


def fields_of_variables() -> dict[str, str]:
    """Return variable -> a field that it sets; of two such fields both may be the same."""
    return {
        str(name): field
        for field, about in ContainerSettings.model_fields.items()
        if isinstance(about.validation_alias, AliasChoices)
        for name in about.validation_alias.choices
    }


def read(environ: Mapping[str, str]) -> ContainerSettings:
    """Read the variables, or refuse what cannot be understood; an empty one counts as not set."""
    fields = fields_of_variables()
    given = {name: environ[name] for name in fields if environ.get(name, "").strip()}
    try:
        return ContainerSettings.model_validate(given)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        expected = ContainerSettings.model_fields[fields[name]].title
        raise MarqueeError(f"{name} is {given[name]!r}; expected {expected}") from error


def warnings(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that somebody may think has an effect."""
    known = fields_of_variables()
    code = environ.get(CODE, "").strip()
    if code and _folder(code) is None:
        yield (
            f"{CODE} is {code!r}, no folder in the container, and has no effect: the script is "
            "looked for in the model folder's code/, as in AWS's container"
        )
    for name in sorted(environ):
        if not name.startswith(PREFIXES) or name in WITHOUT_EFFECT:
            continue
        if name in OURS:
            yield f"{name} has no effect here: {OURS[name]}"
        elif name not in known and name not in TORCHSERVE:
            yield f"{name} is not known here and has no effect; docs/container.md lists what is"
        elif not environ[name].strip():
            yield f"{name} is empty and counts as not set"
