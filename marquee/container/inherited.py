"""The variables that TorchServe and its workers inherit from the container's environment."""

from __future__ import annotations

from collections.abc import Mapping

from marquee.errors import MarqueeError

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
    "TS_CORS_ALLOWED_HEADERS": "a page that TS_CORS_ALLOWED_ORIGIN lists may send any header",
    "TS_CORS_ALLOWED_METHODS": "a page that TS_CORS_ALLOWED_ORIGIN lists may GET, POST and PUT",
    "TS_DEFAULT_SERVICE_HANDLER": "archives name their handler",
    "TS_WORKFLOW_STORE": "workflows are not served",
}
# TorchServe 0.12's settings that go on to it as they are.
_TORCHSERVE_NAMES = """
    ASYNC_LOGGING BLACKLIST_ENV_VARS CERTIFICATE_FILE CPP_LOG_CONFIG CPU_LAUNCHER_ARGS
    CPU_LAUNCHER_ENABLE DEBUG DECODE_INPUT_REQUEST DEFAULT_STARTUP_TIMEOUT
    DISABLE_SYSTEM_METRICS ENABLE_GRPC_SSL ENABLE_METRICS_API
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
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
GPU_COUNT = "TS_NUMBER_OF_GPU"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what TorchServe would trip over: blanks, and our part.

    Raises:
        MarqueeError: GPUs are named in a way on which it would end.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("TS_") or (name in TORCHSERVE and value.strip())
    }
    return kept | _gpu_count(environ)


def _gpu_count(environ: Mapping[str, str]) -> dict[str, str]:
    """Say that there is no GPU: TorchServe 0.12 takes an empty list for all, and "-1" for one."""
    text = environ.get(VISIBLE_GPUS)
    if text is None or GPU_COUNT in environ:
        return {}
    devices = [part.strip() for part in text.split(",") if part.strip()]
    if not devices or "-1" in devices:
        return {GPU_COUNT: "0"}
    if not all(device.isdecimal() for device in devices):
        raise MarqueeError(
            f"{VISIBLE_GPUS} is {text!r}; TorchServe understands numbers only: name devices to the "
            "container's runtime instead (NVIDIA_VISIBLE_DEVICES, docker run --gpus)"
        )
    return {}
