"""The writable side of the container: a project in the temporary folder, made at each start."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from marquee import javaproperties, properties
from marquee.container import memory, packages
from marquee.container.variables import LARGEST_MB, ContainerSettings
from marquee.errors import MarqueeError
from marquee.project import CONFIG_NAME, Project

# The image's copy of the repository: its root.
HOME = Path(__file__).parents[2]
# The rooms whose code serves; archives bring their own.
SERVING = ("runtime", "script")
MEGABYTE = 1 << 20


def inner_ports(settings: ContainerSettings) -> list[int]:
    """Return the ports of metrics, gRPC inference and gRPC management, which are on loopback.

    They are the usual ones, or the first three that SageMaker calls safe.

    Raises:
        MarqueeError: the safe range holds fewer.
    """
    if settings.safe_ports is None:
        return [8082, 7070, 7071]
    first, last = settings.safe_ports
    safe = [port for port in range(first, last + 1) if port != settings.port][:3]
    if len(safe) < 3:
        raise MarqueeError(
            f"SAGEMAKER_SAFE_PORT_RANGE is {first}-{last}; expected room for three ports beside "
            f"{settings.port}"
        )
    return safe


def make(
    settings: ContainerSettings, environ: Mapping[str, str], rooms: tuple[str, ...] = SERVING
) -> Project:
    """Create a fresh project below TEMP (else /tmp): configuration, code of rooms, an empty store.

    Its server and workers inherit ``environ``.

    Raises:
        MarqueeError: nothing can be written there.
    """
    root = Path(environ.get("TEMP") or "/tmp") / "marquee"  # noqa: S108 - made private here
    try:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700, parents=True)
        for folder in ("handlers", "model_store", "logs", "temp"):
            (root / folder).mkdir(mode=0o700)
    except OSError as error:
        raise MarqueeError(
            f"{root} cannot be made ({error.strerror}); with a read-only root file system give "
            "the container a writable /tmp: --tmpfs /tmp:exec"
        ) from error
    for part in ("__init__.py", *rooms):
        (root / "handlers" / part).symlink_to(HOME / "handlers" / part)
    shutil.copytree(HOME / "config", root / "config")
    # Of two lines for a property the last one counts, for Java and for TorchServe's launcher.
    lines = [javaproperties.line(*one) for one in _properties(settings).items()]
    (root / CONFIG_NAME).write_text("\n".join([(HOME / CONFIG_NAME).read_text(), *lines, ""]))
    own = {"TEMP": str(root / "temp"), "LOG_LOCATION": str(root / "logs")}
    if settings.requirements is not None:
        own["PYTHONPATH"] = packages.python_path(root, environ)
    return Project(root, {**environ, **own})


def _properties(settings: ContainerSettings) -> dict[str, str]:
    metrics, grpc_inference, grpc_management = inner_ports(settings)
    options = f" {settings.java_options}" if settings.java_options else ""
    values = {
        "inference_address": f"http://0.0.0.0:{settings.port}",
        "management_address": "unix:behind-the-front-door",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "grpc_inference_port": str(grpc_inference),
        "grpc_management_port": str(grpc_management),
        "vmargs": f"-Xmx{_heap() // MEGABYTE}m -XX:+ExitOnOutOfMemoryError "
        f"-Dlog4j.configurationFile=config/container-log4j2.xml{options}",
    }
    if settings.max_payload_mb is not None:
        most = (settings.max_payload_mb or LARGEST_MB) * MEGABYTE
        values["max_request_size"] = str(most)
        # Batch transform says what it sends; answers, such as pictures, may be larger.
        usual = int(properties.read(HOME / CONFIG_NAME, {})["max_response_size"])
        values["max_response_size"] = str(max(most, usual))
    return values


def _heap() -> int:
    """Return the JVM's heap in bytes: a quarter of the memory, 2 GB at the most."""
    return max(512 * MEGABYTE, min(2048 * MEGABYTE, memory.limit() // 4))
