"""The environment as users of AWS's PyTorch containers know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marquee.errors import MarqueeError

PREFIXES = ("TS_", "SAGEMAKER_")

# TorchServe's own variables that would undo what the container sets up, and what to use instead.
OURS = {
    "TS_CONFIG_FILE": "mount archives, and set TorchServe's settings by TS_ variables",
    "TS_MODEL_STORE": "put archives into the model folder, /opt/ml/model",
    "TS_LOAD_MODELS": "everything in the model folder is loaded",
    "TS_INFERENCE_ADDRESS": "TorchServe listens behind the front door; SAGEMAKER_BIND_TO_PORT "
    "is the port",
    "TS_MANAGEMENT_ADDRESS": "the management API is not reachable from outside",
    "TS_DISABLE_TOKEN_AUTHORIZATION": "there are no tokens in the container",
    "TS_TOKEN_EXPIRATION_TIME_MIN": "there are no tokens in the container",
    "TS_ENABLE_MODEL_API": "models are loaded from outside with SAGEMAKER_MULTI_MODEL=true only",
    "TS_ALLOWED_URLS": "archives come from the model folder only",
    "TS_INSTALL_PY_DEP_PER_MODEL": "set SAGEMAKER_REQUIREMENTS to install packages",
    "TS_DEFAULT_SERVICE_HANDLER": "archives name their handler",
    "TS_WORKFLOW_STORE": "workflows are not served",
}
# TorchServe 0.12's settings that go on to it as they are.
_TORCHSERVE_NAMES = """
    ASYNC_LOGGING BLACKLIST_ENV_VARS CERTIFICATE_FILE CORS_ALLOWED_HEADERS CORS_ALLOWED_METHODS
    CORS_ALLOWED_ORIGIN CPP_LOG_CONFIG CPU_LAUNCHER_ARGS CPU_LAUNCHER_ENABLE DEBUG
    DECODE_INPUT_REQUEST
    DEFAULT_STARTUP_TIMEOUT DISABLE_SYSTEM_METRICS ENABLE_GRPC_SSL ENABLE_METRICS_API
    GRPC_INFERENCE_ADDRESS GRPC_INFERENCE_MAX_CONNECTION_AGE_GRACE_MS
    GRPC_INFERENCE_MAX_CONNECTION_AGE_MS GRPC_INFERENCE_PORT GRPC_MANAGEMENT_ADDRESS
    GRPC_MANAGEMENT_MAX_CONNECTION_AGE_GRACE_MS GRPC_MANAGEMENT_MAX_CONNECTION_AGE_MS
    GRPC_MANAGEMENT_PORT HEADER_KEY_SEQUENCE_END HEADER_KEY_SEQUENCE_ID
    HEADER_KEY_SEQUENCE_START INITIAL_DISTRIBUTION_PORT INITIAL_WORKER_PORT IPEX_ENABLE
    IPEX_GPU_ENABLE JOB_QUEUE_SIZE KEYSTORE KEYSTORE_PASS KEYSTORE_TYPE LIMIT_MAX_IMAGE_PIXELS
    MAX_REQUEST_SIZE MAX_RESPONSE_SIZE METRICS_ADDRESS METRICS_CONFIG METRICS_MODE
    MODEL_METRICS_AUTO_DETECT MODEL_SERVER_HOME NETTY_CLIENT_THREADS NUMBER_OF_GPU
    NUMBER_OF_NETTY_THREADS OPEN_INFERENCE_PROTOCOL PREFER_DIRECT_BUFFER PRIVATE_KEY_FILE
    SERVICE_ENVELOPE UNREGISTER_MODEL_TIMEOUT
"""
TORCHSERVE = frozenset(f"TS_{name}" for name in _TORCHSERVE_NAMES.split())
# What the platform or the toolkits set, and nothing here needs.
WITHOUT_EFFECT = (
    "SAGEMAKER_CONTAINER_LOG_LEVEL",
    "SAGEMAKER_ENABLE_CLOUDWATCH_METRICS",
    "SAGEMAKER_HANDLER",
    "SAGEMAKER_JOB_NAME",
    "SAGEMAKER_REGION",
)


@dataclass(frozen=True)
class Settings:
    """What the environment asks for; None where it leaves the choice.

    Attributes:
        port: where SageMaker, or anybody, sends requests to.
        safe_ports: first and last port that may be used inside, both included.
        base_dir: the folder that has ``model``, ``input`` and ``output``.
        multi_model: models come and go by requests to ``/models``.
        default_model: the model that ``/invocations`` goes to when none is named.
        program: the script's file name.
        code_dir: where the script lies, if not in the model folder's ``code``.
        requirements: a requirements file, relative to the script's folder, to install at start.
        accept: what scripts are told a request without an Accept header wants.
        batch_size: requests in a batch.
        max_batch_delay: milliseconds that a batch waits to fill.
        min_workers, max_workers: of each model.
        response_timeout, startup_timeout: seconds.
        max_payload: bytes of a request and of a response.
        java_options: more words for the JVM.
    """

    port: int = 8080
    safe_ports: tuple[int, int] | None = None
    base_dir: Path = Path("/opt/ml")
    multi_model: bool = False
    default_model: str | None = None
    program: str | None = None
    code_dir: Path | None = None
    requirements: str | None = None
    accept: str | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None
    min_workers: int | None = None
    max_workers: int | None = None
    response_timeout: int | None = None
    startup_timeout: int | None = None
    max_payload: int | None = None
    java_options: str | None = None

    @property
    def model_dir(self) -> Path:
        """The model folder that is served as it is at start."""
        return self.base_dir / "model"


@dataclass(frozen=True)
class Variables:
    """The environment, read: settings, TorchServe's own variables, and what is to be told."""

    settings: Settings
    torchserve: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)


def _whole(least: int, most: int = 1 << 31) -> Callable[[str], int]:
    def read_number(text: str) -> int:
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read_number


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError("true or false")
    return text.lower() in ("true", "1")


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    port = _whole(1, 65535)
    try:
        both = port(first), port(last)
    except ValueError:
        both = (1, 0)
    if both[0] > both[1]:
        raise ValueError("two ports as FIRST-LAST")
    return both


def _megabytes(text: str) -> int:
    return _whole(1, 2000)(text) << 20


def _folder(text: str) -> Path:
    if "://" in text or not Path(text).is_absolute():
        raise ValueError("a folder in the container (SageMaker unpacks model.tar.gz there)")
    return Path(text)


# Variable -> field of Settings and how its text is read. Of two for one field the first wins.
MEANINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "SAGEMAKER_BIND_TO_PORT": ("port", _whole(1, 65535)),
    "SAGEMAKER_SAFE_PORT_RANGE": ("safe_ports", _port_range),
    "SAGEMAKER_BASE_DIR": ("base_dir", Path),
    "SAGEMAKER_MULTI_MODEL": ("multi_model", _truth),
    "SAGEMAKER_DEFAULT_MODEL": ("default_model", str),
    "SAGEMAKER_PROGRAM": ("program", str),
    "SAGEMAKER_SUBMIT_DIRECTORY": ("code_dir", _folder),
    "SAGEMAKER_REQUIREMENTS": ("requirements", str),
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": ("accept", str),
    "SAGEMAKER_TS_BATCH_SIZE": ("batch_size", _whole(1)),
    "SAGEMAKER_TS_MAX_BATCH_DELAY": ("max_batch_delay", _whole(0)),
    "SAGEMAKER_TS_MIN_WORKERS": ("min_workers", _whole(1)),
    "SAGEMAKER_TS_MAX_WORKERS": ("max_workers", _whole(1)),
    "SAGEMAKER_MODEL_SERVER_WORKERS": ("workers", _whole(1)),
    "TS_DEFAULT_WORKERS_PER_MODEL": ("workers", _whole(1)),
    "SAGEMAKER_TS_RESPONSE_TIMEOUT": ("response_timeout", _whole(1)),
    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": ("response_timeout", _whole(1)),
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": ("response_timeout", _whole(1)),
    "TS_DEFAULT_RESPONSE_TIMEOUT": ("response_timeout", _whole(1)),
    "SAGEMAKER_STARTUP_TIMEOUT": ("startup_timeout", _whole(1)),
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": ("max_payload", _megabytes),
    "SAGEMAKER_MODEL_SERVER_VMARGS": ("java_options", str),
}


def read(environment: Mapping[str, str]) -> Variables:
    """Read the variables; an empty one counts as not set.

    Raises:
        MarqueeError: a value cannot be understood.
    """
    given = {name: value for name, value in environment.items() if value.strip()}
    fields: dict[str, Any] = {}
    for name, (key, parse) in MEANINGS.items():
        if name in given and key not in fields:
            fields[key] = _parsed(name, given[name], parse)
    workers = fields.pop("workers", None)
    if workers is not None:
        fields = {"min_workers": workers, "max_workers": workers} | fields
    settings = Settings(**fields)
    _check(settings)
    torchserve = {name: given[name] for name in sorted(TORCHSERVE & given.keys())}
    return Variables(settings, torchserve, [*_warnings(environment)])


def _parsed(name: str, value: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise MarqueeError(f"{name} is {value!r}; expected {error}") from error


def _check(settings: Settings) -> None:
    least, most = settings.min_workers, settings.max_workers
    if least is not None and most is not None and least > most:
        raise MarqueeError(
            f"SAGEMAKER_TS_MIN_WORKERS is {least} and SAGEMAKER_TS_MAX_WORKERS {most}; expected "
            "the first to be no larger than the second"
        )


def _warnings(environment: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environment):
        if not name.startswith(PREFIXES) or name in WITHOUT_EFFECT:
            continue
        if name in OURS:
            yield f"{name} has no effect here: {OURS[name]}"
        elif name not in MEANINGS and name not in TORCHSERVE:
            yield f"{name} is not known here and has no effect; docs/container.md lists what is"
        elif not environment[name].strip():
            yield f"{name} is empty and counts as not set"


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what TorchServe would trip over: blanks, and our part."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("TS_") or (name in TORCHSERVE and value.strip())
    }
